"""Train a denoising autoencoder on MNIST or a data set like it."""

from command import main

if __name__ == "__main__":
    main("train", "da")
