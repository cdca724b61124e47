"""Train an LSTM to read the sentiment of texts."""

from command import main

if __name__ == "__main__":
    main("train", "lstm")
