"""Search for hyper-parameters: random search, TPE or a grid, on all cores or on many machines.

--set NAME=LOW..HIGH draws a number, --set NAME=LOW..HIGH:log its logarithm, --set NAME=A,B,C
one of these values, and --set NAME=A is the same in all trials. For instance:

  search mlp --trials 40 --set learning_rate=0.001..0.1:log --set n_hidden=100..1000
"""

import os
import time

import shtab

import theano_tutorials
from theano_tutorials.studies.search import PRUNERS, SAMPLERS
from theano_tutorials.studies.trials import stops_early
from theano_tutorials_command.start import add_device

NAME = "search"


def _models():
    names = [name for name in theano_tutorials.__all__ if name.startswith("train_")]
    functions = {name[len("train_") :]: getattr(theano_tutorials, name) for name in names}
    return {name: function for name, function in functions.items() if stops_early(function)}


def add_options(parser):
    """Add the options of this command to its parser."""
    parser.add_argument("model", choices=sorted(_models()), help="what is trained")
    parser.add_argument("--trials", metavar="N", type=int, help="number of trials")
    parser.add_argument("--seeds", metavar="N", type=int, help="repeat one setting with so many seeds instead")
    parser.add_argument("--set", metavar="NAME=VALUES", action="append", default=[], help="what is searched, or fixed")
    parser.add_argument("--sampler", choices=SAMPLERS, default="random", help="how it is drawn (default: random)")
    parser.add_argument("--pruner", choices=PRUNERS, default="none", help="what stops a trial early (default: none)")
    parser.add_argument("--seed", metavar="N", type=int, default=1234, help="seed of the sampler (default: 1234)")
    parser.add_argument("--workers", metavar="N", type=int, help="processes on this machine (default: one for a core)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, tcp://host:8786, instead")
    parser.add_argument("--storage", metavar="URL", help="postgresql://user@host/name (default: a file in the folder)")
    output = parser.add_argument(
        "--output-dir", metavar="FOLDER", help="folder of the search (default: runs/search/MODEL/<date-time>)"
    )
    output.complete = shtab.DIRECTORY
    parser.add_argument("--resume", action="store_true", help="go on with the search in this folder")
    add_device(parser)
    parser.set_defaults(parser=parser)


def run(options):
    """Run this command with its options."""
    if (options.trials is None) == (options.seeds is None):
        options.parser.error("expected --trials N or --seeds N, one of the two")
    space = {}
    for setting in options.set:
        name, equals, values = setting.partition("=")
        if not equals or not values:
            options.parser.error(f"--set {setting}: expected NAME=VALUES")
        if name in space:
            options.parser.error(f"--set {name}= is given twice")
        space[name] = values
    if options.output_dir is None:
        if options.resume:
            options.parser.error("--resume needs --output-dir FOLDER, that of the search")
        options.output_dir = os.path.join("runs", "search", options.model, time.strftime("%Y-%m-%dT%H-%M-%S"))
    theano_tutorials.search(
        _models()[options.model],
        space,
        n_trials=options.trials,
        n_seeds=options.seeds,
        sampler=options.sampler,
        pruner=options.pruner,
        seed=options.seed,
        output_dir=options.output_dir,
        resume=options.resume,
        storage=options.storage,
        scheduler=options.scheduler,
        n_workers=options.workers,
    )
