"""Read digits from image files with a saved model, or count its errors on a data set."""

from command import main

if __name__ == "__main__":
    main("predict")
