"""Empty Theano's compile cache: remove all that it has compiled."""

from command import main

if __name__ == "__main__":
    main("empty-cache")
