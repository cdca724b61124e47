TWO = 5 / 2
