"""Looks after the folders in which Theano keeps what it has compiled: its compile cache.

A library that is cut short kills each process that loads it, without a message.
Such a library is removed before; Theano then compiles it again. Where a folder
cannot be written, another one takes its place, with what has been compiled.
"""

import atexit
import functools
import hashlib
import logging
import os
import shutil
import stat
import struct
import tempfile
import traceback
from pathlib import Path

from theano_tutorials.backend.compiling import lock

_KEY = "key.pkl"
_PARTS_OF_THEANO = ("cutils_ext", "lazylinker_ext", "scan_perform")
_STAYS = ("__init__.py", "compile.lock")
_logger = logging.getLogger(__name__)


def folders(user_flags):
    """The folders of the compile cache, for every Python and every platform.

    Parameters
    ----------
    user_flags : dict of str to str
        As of :func:`flags.flags_of_the_user`.

    Returns
    -------
    list of pathlib.Path
    """
    if user_flags.get("compiledir"):
        path = Path(os.path.expanduser(user_flags["compiledir"]))
        return [path] if path.is_dir() else []
    base = Path(os.path.expanduser(user_flags.get("base_compiledir") or "~/.theano"))
    found = sorted(path.parent for path in base.glob("*/__init__.py"))
    return [path for path in found if path.name.startswith("compiledir_") or (path / "compile.lock").exists()]


# What is damaged


def remove_damaged(found):
    """Remove each module whose library is cut short, empty or gone, or whose key is damaged.

    Parameters
    ----------
    found : list of pathlib.Path
        Folders of the compile cache. What cannot be removed there stays.
    """
    for folder in found:
        # A second look under the lock: another process may have been writing.
        if any(map(_is_damaged, _modules(folder))):
            try:
                with lock.lock_in(str(folder)):
                    for module in filter(_is_damaged, _modules(folder)):
                        _remove(module)
            except OSError as error:
                _logger.debug("%s stays as it is: %s", folder, error)


def _modules(folder):
    return [path for path in _paths(folder) if path.name in _PARTS_OF_THEANO or (path / _KEY).exists()]


def _paths(folder):
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_damaged(module):
    try:
        libraries = list(module.glob("*.so"))
        if module.name in _PARTS_OF_THEANO:
            # Its version is written when the library is there.
            is_gone = not libraries and (module / "__init__.py").stat().st_size > 0
            return is_gone or not all(map(_is_whole, libraries))
        return not libraries or not all(map(_is_whole, libraries)) or not _ends_as_a_pickle(module / _KEY)
    except OSError:
        return False


def _is_whole(library):
    # The linker writes the table of sections last; the header says where it is (ELF-64, figures 1-2 and 1-3).
    with open(library, "rb") as file:
        header = file.read(64)
        if len(header) < 64 or header[:4] != b"\x7fELF":
            return False
        if header[4:6] != b"\x02\x01":
            return True  # not of 64 bits, or the highest byte first
        start = struct.unpack_from("<Q", header, 40)[0]
        entry_size, n_entries = struct.unpack_from("<HH", header, 58)
        if n_entries == 0:
            return True
        file.seek(start + (n_entries - 1) * entry_size)
        entry = file.read(entry_size)
        return len(entry) == entry_size and any(entry)


def _ends_as_a_pickle(path):
    return path.read_bytes()[-1:] == b"."


def _remove(path):
    aside = path.with_name(f"tmp_removed_{os.getpid()}_{path.name}")
    os.rename(path, aside)  # at once, for those who do not wait for the lock
    _delete(aside)


def _delete(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


# What cannot be written


def not_writable(error):
    """The folder that Theano could not make or write; None for any other error.

    Parameters
    ----------
    error : Exception
        With the traceback of Theano's import.
    """
    found = [
        frame.f_locals["path"]
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_name == "filter_compiledir"
    ]
    return Path(found[-1]) if found else None


def substitute(folder):
    """A folder that this user can write, with copies of the modules that are in ``folder``.

    It stays for later processes. Modules for other versions of the kernel, whose
    folders stand beside it, are copied too: their keys say for which processor they
    are.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    pathlib.Path
    """
    place = _private_folder() / hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    is_new = not place.exists()
    place.mkdir(exist_ok=True)
    _, separator, rest = folder.name.partition("-with-")
    beside = sorted(folder.parent.glob(f"compiledir_*{separator}{rest}")) if separator else []
    sources = [folder, *(path for path in beside if path != folder)]
    n_modules = sum(_copy_modules(source, place) for source in sources)
    if is_new and not n_modules:
        _logger.warning(
            "%s cannot be written: modules are compiled in %s instead (base_compiledir in THEANO_FLAGS names a folder)",
            folder,
            place,
        )
    return place


def _private_folder():
    path = Path(tempfile.gettempdir(), f"theano-{os.getuid()}")
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    # In a folder of all users, somebody else could have made it.
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077:
        return path
    return _folder_of_this_process()


@functools.cache
def _folder_of_this_process():
    path = tempfile.mkdtemp(prefix="theano-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def _copy_modules(source, place):
    # Number of modules that are there now.
    modules = [module for module in _modules(source) if not _is_damaged(module)]
    for module in modules:
        _appear(module, place, _copy_files)
    for path in _paths(source):
        if path.name.startswith("precompiled_header_"):
            _appear(path, place, os.symlink)  # of 40 MB
        elif path.name == "march.json":
            _appear(path, place, shutil.copyfile)
    return sum((place / module.name).exists() for module in modules)


def _copy_files(module, aside):
    # With the time of now: what was read last 24 days ago is too old for Theano.
    aside.mkdir()
    for file in module.iterdir():
        if file.is_file():
            shutil.copyfile(file, aside / file.name)


def _appear(source, place, copy):
    """Copy a file or a folder beside its place, and give it its name when it is whole; what is there stays."""
    path, aside = place / source.name, place / f"tmp_copied_{os.getpid()}_{source.name}"
    if os.path.lexists(path):
        return
    try:
        copy(source, aside)
        os.rename(aside, path)
    except OSError as error:  # unreadable, a full disk, or another process was faster
        _logger.debug("%s is not copied: %s", path, error)
        _delete(aside)


# All


def empty(user_flags):
    """Remove everything from the compile cache, when no process is compiling there.

    Parameters
    ----------
    user_flags : dict of str to str
        As of :func:`flags.flags_of_the_user`.

    Yields
    ------
    (pathlib.Path, int)
        A folder that was emptied, and the number of modules that it had.

    Raises
    ------
    OSError
        If something cannot be removed.
    """
    for folder in [*sorted(_private_folder().iterdir()), *folders(user_flags)]:
        with lock.lock_in(str(folder)):
            n_modules = len(_modules(folder))
            for path in folder.iterdir():
                if path.name not in _STAYS:
                    _remove(path)
        yield folder, n_modules
