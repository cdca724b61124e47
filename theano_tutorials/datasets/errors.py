"""What is raised where a data set cannot be used, and what warns of data that is probably not as it is meant."""


class DatasetError(ValueError):
    """A data set is not there or not valid; the message says what was found and expected."""


class DatasetWarning(UserWarning):
    """Data can be used, but is probably not what the user believes; the message says what was found and done."""
