"""The figures of a run: of a classifier, and of a model of images."""

import sys

import numpy as np
import theano

from theano_tutorials.runs import console
from theano_tutorials.runs.directory import column

_FILTERS_SHOWN = 100  # as in the tutorials' pictures


def draw_classifier(run, classifier, weights, datasets, batch_size):
    """Draw the learning curve, the first layer's weights, the confusion matrix and the mistakes of a run.

    If the examples are not images, weights and mistakes are left out, and a line
    says so.

    Parameters
    ----------
    run : Run
    classifier : object with ``input`` and ``y_pred``
    weights : shared variable, or view of one
        Weights of the first layer, (n_features, n_units), or of the first
        convolution, (n_filters, n_channels, height, width).
    datasets : theano_tutorials.datasets.Splits
    batch_size : int
        Number of examples in one call. A convolution is compiled for this number.
    """
    if run.folder is None:
        return
    try:
        with console.said_if_slow("Drawing figures"):
            run.draw(_figures(run.rows(), classifier, weights, datasets, batch_size))
    except Exception as error:  # a training is not lost for its figures
        print(f"warning: no figures were drawn ({type(error).__name__}: {error})", file=sys.stderr, flush=True)


def draw_curve(run):
    """Draw the learning curve of a run: its errors against the iterations.

    Parameters
    ----------
    run : Run
    """
    if run.folder is None:
        return
    from theano_tutorials.runs import plots  # here, since matplotlib would delay every start

    run.draw({"learning_curve.png": lambda: _learning_curve(plots, run.rows())})


def _learning_curve(plots, rows):
    return plots.learning_curve(*(column(rows, name) for name in ("iteration", "validation_error", "test_error")))


def draw_filters(run, weights, datasets, name="filters.png"):
    """Draw the weights of the first hundred hidden units as images, if the examples are images.

    Parameters
    ----------
    run : Run
    weights : shared variable, (n_features, n_units)
    datasets : theano_tutorials.datasets.Splits
    name : str
        File name.
    """
    _draw_units(
        run,
        datasets,
        name,
        lambda plots, shape: plots.filters(weights.get_value().T[:_FILTERS_SHOWN].reshape(-1, *shape)),
    )


def draw_images(run, images, columns, datasets, name="samples.png"):
    """Draw images with values in [0, 1], if the examples are images.

    Parameters
    ----------
    run : Run
    images : function
        Without arguments; returns numpy.ndarray, (n_images, n_features).
    columns : int
        Number of images in a row.
    datasets : theano_tutorials.datasets.Splits
    name : str
        File name.
    """
    _draw_units(run, datasets, name, lambda plots, shape: plots.images(images().reshape(-1, *shape), columns))


def _draw_units(run, datasets, name, figure):
    if run.folder is None:
        return
    if datasets.image_shape is None:
        print(f"Without {name}: examples of shape {datasets.example_shape} are no images")
        return
    from theano_tutorials.runs import plots  # here, since matplotlib would delay every start

    with console.said_if_slow("Drawing figures"):
        run.draw({name: lambda: figure(plots, datasets.image_shape)})


def _figures(rows, classifier, weights, datasets, batch_size):
    from theano_tutorials.runs import plots  # here, since matplotlib would delay every start

    inputs, labels = (np.asarray(part.eval()) for part in datasets[-1])
    predictions = _predictions(classifier, inputs, batch_size)
    names = datasets.class_names
    figures = {
        "learning_curve.png": lambda: _learning_curve(plots, rows),
        "confusion.png": lambda: plots.confusion(labels, predictions, names),
    }
    shape = datasets.image_shape
    first_layer = np.asarray(weights.eval())
    of_classes = weights is getattr(classifier, "W", None)  # there is no layer below the classes
    if first_layer.ndim == 4:
        figures["filters.png"] = lambda: plots.filters(first_layer)
    elif shape is not None:
        figures["filters.png"] = lambda: plots.filters(first_layer.T.reshape(-1, *shape), names if of_classes else None)
    if shape is not None:
        figures["mistakes.png"] = lambda: plots.mistakes(inputs.reshape(-1, *shape), labels, predictions, names)
    else:
        print(f"Without figures of weights and mistakes: examples of shape {datasets.example_shape} are no images")
    return figures


def _predictions(classifier, inputs, batch_size):
    # A convolution is compiled for one batch size: the last batch is filled up.
    predict = theano.function([classifier.input], classifier.y_pred)
    filled = np.concatenate([inputs, np.zeros((-len(inputs) % batch_size, inputs.shape[1]), inputs.dtype)])
    batches = filled.reshape(-1, batch_size, inputs.shape[1])
    return np.concatenate([predict(batch) for batch in batches])[: len(inputs)]
