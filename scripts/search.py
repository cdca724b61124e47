"""Search for the hyper-parameters of a model."""

from command import main

if __name__ == "__main__":
    main("search")
