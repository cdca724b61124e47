"""Draw a digit in the browser, and see how a saved model reads it."""

from command import main

if __name__ == "__main__":
    main("demo")
