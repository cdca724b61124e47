"""Train Elman's network to fill slots."""

from command import main

if __name__ == "__main__":
    main("train", "rnnslu")
