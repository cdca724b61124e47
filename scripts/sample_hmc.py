"""Sample a normal distribution by hybrid Monte Carlo."""

from command import main

if __name__ == "__main__":
    main("sample", "hmc")
