"""The data set of a search, for workers on machines that do not have it."""

import os

from distributed import WorkerPlugin


class SentData(WorkerPlugin):
    """A data set that Dask sends to each worker once, also to those that come later.

    Parameters
    ----------
    path : str
        Where the file is on the machine of the search. A worker that finds it there keeps
        no copy.
    data : arrays

    Attributes
    ----------
    data : arrays or None
        On a worker: the data set, if it does not find the file.
    """

    def __init__(self, path, data):
        self.path, self.data = path, data

    def setup(self, worker):
        """Called by Dask on the worker."""
        if os.path.exists(self.path):
            self.data = None
