class HiddenLayer:
    def __init__(self, n):
        self.half = (n + 1) / 2
