"""What is raised where a data set cannot be used."""


class DatasetError(ValueError):
    """A data set is not there or not valid; the message says what was found and expected."""
