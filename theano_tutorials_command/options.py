"""Options that several commands have, and how a shell completes them."""

import shtab


def add_file(parser, *names, **keywords):
    """Add an argument that a shell completes with the names of files."""
    parser.add_argument(*names, **keywords).complete = shtab.FILE


def add_model(parser):
    """Add the argument that names a saved model."""
    add_file(
        parser,
        "model",
        metavar="RUN",
        help="directory of a run, or its file best_model.safetensors; or a directory of runs, such as runs/mlp: the "
        "one whose best model was written last",
    )
