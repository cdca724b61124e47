"""Data sets that have a name: the MNIST that comes with this library, and downloads."""

from pathlib import Path
from typing import NamedTuple, Optional

from theano_tutorials.datasets.errors import DatasetError
from theano_tutorials.datasets.idx import idx_groups

_PACKAGE = Path(__file__).resolve().parents[1]
# In a wheel, in a checkout, and where Debian's packages dataset-... put theirs.
_ON_DISK = (_PACKAGE / "data", _PACKAGE.parent / "data", Path("/usr/share/datasets"))
_DOWNLOAD_TIMEOUT = 10  # seconds without an answer


class Source(NamedTuple):
    """Where a data set is downloaded from.

    Attributes
    ----------
    url : str
        Folder of the files.
    md5 : dict of str to str
        Checksums of the files as distributed, by their names.
    debian : str, optional
        Name of the package of Debian that has it.
    """

    url: str
    md5: dict
    debian: Optional[str] = None


KNOWN_DATASETS = {
    "mnist": Source(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion-mnist": Source(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        "dataset-fashion-mnist",
    ),
    "kmnist": Source(
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        {
            "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
}


CLASS_NAMES = {
    "fashion-mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),  # hiragana
}


def folder_of_known(name):
    """Folder with the IDX files of a known data set, which is downloaded if it is not on disk.

    Parameters
    ----------
    name : str
        A name of :data:`KNOWN_DATASETS`.

    Returns
    -------
    path

    Raises
    ------
    DatasetError
        If the data set has to be downloaded, and cannot.
    """
    source = KNOWN_DATASETS[name]
    for folder in _ON_DISK:
        if idx_groups(folder / name):
            return folder / name

    import pooch  # here: it takes a fifth of a second, and warns in a notebook without ipywidgets

    cache = Path(pooch.os_cache("theano_tutorials"), name)
    if idx_groups(cache):
        return cache
    instead = f"Put {', '.join(source.md5)} into {cache}, or name the folder that holds them"
    if source.debian:
        instead += f", or on Debian, as root, apt-get install {source.debian}"
    for file, md5 in source.md5.items():
        download(source.url + file, md5, cache, instead, f"data set {name} is not on disk, and ")
    return cache


def download(url, md5, folder, instead, why=""):
    """Download a file with a known checksum, unless the folder has it: the path of it.

    Parameters
    ----------
    url, md5 : str
    folder : path
    instead, why : str
        What the error says after the reason, and before the address.

    Raises
    ------
    DatasetError
        If there is no connection or no disk, or the file has another checksum.
    """
    import pooch  # here, as above

    try:
        return pooch.retrieve(
            url,
            known_hash=f"md5:{md5}",
            fname=url.rpartition("/")[2],
            path=folder,
            downloader=pooch.HTTPDownloader(progressbar=True, timeout=_DOWNLOAD_TIMEOUT),
        )
    except (OSError, ValueError) as error:
        reason = error if isinstance(error, ValueError) else type(error).__name__
        raise DatasetError(f"{why}{url} cannot be downloaded ({reason}). {instead}") from error
