"""Train an RNN-RBM on chorales by Bach or on MIDI files, and generate two pieces."""

from command import main

if __name__ == "__main__":
    main("train", "rnnrbm")
