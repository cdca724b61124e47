"""Compiles the modules of a function in parallel.

Theano compiles one module after the other, each in the moment in which it is
needed. Here the first one that is not in the compile cache makes the compiler
start on all that the function lacks, several in a run and on every core
(:mod:`batches`); when Theano comes to a module, its library is there. What a
library is, under which key it is kept and who waits for whom is left to Theano:
only the run of the compiler is replaced by an equal one (:mod:`process`). A
killed process leaves a folder that nobody reads, and that Theano removes when it
is old.
"""

import functools
import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from theano_tutorials.backend.compiling import batches, header, lock, process

_thread = threading.local()
_header_maker = None  # thread that makes the precompiled header where it is missing


def install():
    """Make Theano compile so, and begin to make the precompiled header where it is missing."""
    from theano import config
    from theano.gof.cc import CLinker
    from theano.gof.vm import VM_Linker

    global _header_maker
    if config.cxx:
        _header_maker = threading.Thread(target=header.make, args=[_usual_command()])
        _header_maker.start()
    VM_Linker.make_all = _ready_to_start(VM_Linker.make_all)
    CLinker.compile_cmodule = _started_before(CLinker.compile_cmodule)


def _usual_command():
    # What Theano has for a module without any wishes of its own, as far as it matters to the header.
    from theano import config
    from theano.gof.cc import CLinker

    linker = CLinker()
    linker.variables = linker.node_order = []
    return [config.cxx, *linker.compile_args(), "-fvisibility=hidden"]


def _ready_to_start(make_all):
    @functools.wraps(make_all)
    def wrapper(linker, *args, **kwargs):
        before = getattr(_thread, "start", None)
        with ExitStack() as until_compiled:
            _thread.start = functools.partial(_start, linker.fgraph, until_compiled)
            try:
                return make_all(linker, *args, **kwargs)
            finally:
                _thread.start = before

    return wrapper


def _started_before(compile_cmodule):
    @functools.wraps(compile_cmodule)
    def wrapper(*args, **kwargs):
        start, _thread.start = getattr(_thread, "start", None), None
        if start is not None:
            start()
        return compile_cmodule(*args, **kwargs)

    return wrapper


def _start(fgraph, until_compiled):
    from theano import config

    # Until all is compiled, so that a second process waits instead of compiling the same.
    until_compiled.enter_context(lock.lock_ctx())
    folder = tempfile.mkdtemp(prefix="tmp_ahead_", dir=config.compiledir)
    until_compiled.callback(shutil.rmtree, folder, ignore_errors=True)
    commands = _missing(fgraph, folder)
    if _header_maker:
        _header_maker.join()  # the first of the runs would take longer without it
    n_cores = len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(n_cores)
    until_compiled.callback(pool.shutdown, cancel_futures=True)
    made = {}
    for batch in batches.divide(commands, n_cores):
        future = pool.submit(batches.compile_libraries, batch)
        for i, command in enumerate(batch):
            made[process.fingerprint(command)] = functools.partial(_result, future, i)
    until_compiled.enter_context(process.libraries_ahead(made))


def _result(future, i):
    return future.result()[i]


def _missing(fgraph, folder):
    # Commands of the compiler for the modules that are not in the cache.
    commands = {}
    for node in fgraph.toposort():
        inputs = list(node.inputs)
        try:
            command = _command(node, tempfile.mkdtemp(dir=folder))
        except Exception:
            # Theano comes to this node, and says what is wrong. Preparing one of an old pickle may have added inputs.
            node.inputs[:] = inputs
            continue
        if command is not None:
            commands.setdefault(process.fingerprint(command), command)
    return list(commands.values())


def _command(node, folder):
    # As Op.make_c_thunk, CLinker.cthunk_factory and ModuleCache.module_from_key have it.
    from theano.gof.cc import CLinker, get_module_cache
    from theano.gof.cmodule import GCC_compiler, get_module_hash
    from theano.gof.fg import FunctionGraph
    from theano.gof.op import Op

    if type(node.op).make_thunk is not Op.make_thunk or type(node.op).make_c_thunk is not Op.make_c_thunk:
        return None
    node.op.prepare_node(node, None, None, "c")
    linker = CLinker().accept(FunctionGraph(node.inputs, node.outputs), no_recycling=[])
    for inner in linker.node_order:
        inner.op.prepare_node(inner, None, None, "c")
    cache, key = get_module_cache(), linker.cmodule_key()
    if key is None or key in cache.entry_from_key or linker.c_compiler() is not GCC_compiler:
        return None
    module = linker.get_dynamic_module()
    source = module.code()
    if get_module_hash(source, key) in cache.module_hash_to_key_data:
        return None
    with process.noted_commands() as commands:
        GCC_compiler.compile_str(
            module.code_hash,
            source,
            location=folder,
            include_dirs=linker.header_dirs(),
            lib_dirs=linker.lib_dirs(),
            libs=linker.libraries(),
            preargs=linker.compile_args(),
            py_module=False,
        )
    return commands[0]
