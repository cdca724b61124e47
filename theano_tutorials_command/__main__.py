"""``python -m theano_tutorials_command``."""

from theano_tutorials_command import main

if __name__ == "__main__":
    main()
