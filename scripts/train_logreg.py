"""Train logistic regression on MNIST or a data set like it."""

from command import run  # isort: skip  (first: says what is missing)

from theano_tutorials import train_logreg

if __name__ == "__main__":
    run(train_logreg)
