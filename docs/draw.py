"""Draw the figures of docs/tutorial from trainings that are run here: python docs/draw.py

Takes about two minutes. Needs pydot and Graphviz, for the graphs.
"""

from pathlib import Path

import theano_tutorials  # isort: skip
import numpy as np
import theano
import theano.tensor as T
from matplotlib.figure import Figure

from theano_tutorials import MLP, LogisticRegression, evaluate, load_data, minibatch_function, sgd_updates

IMAGES = Path(__file__).parent / "images"


def draw_graphs():
    W = theano.shared(np.zeros((784, 10), dtype="float32"), name="W")
    b = theano.shared(np.zeros(10, dtype="float32"), name="b")
    x = T.matrix("x")
    p_y_given_x = T.nnet.softmax(T.dot(x, W) + b)
    for name, graph in {"graph_written": p_y_given_x, "graph_run": theano.function([x], p_y_given_x)}.items():
        path = IMAGES / f"{name}.svg"
        theano.printing.pydotprint(graph, str(path), format="svg", print_output_file=False)
        # Black letters cannot be read on these.
        path.write_text(path.read_text().replace('fill="blue"', 'fill="lightblue"').replace('"green"', '"palegreen"'))


def draw_gradient_descent(datasets, n_epochs=8):
    x, y = T.matrix("x"), T.ivector("y")
    figure, axes = new_figure("epoch", "validation error (%)")
    for batch_size in (50000, 600, 20):
        classifier = LogisticRegression(x, n_in=784, n_out=10)
        cost = classifier.negative_log_likelihood(y)
        updates = sgd_updates(cost, classifier.params, learning_rate=0.13)
        train = minibatch_function([x, y], cost, datasets[0], batch_size, updates)
        valid_x, valid_y = datasets[1]
        errors = theano.function([], classifier.errors(y), givens={x: valid_x, y: valid_y})
        curve = [errors()]
        for _ in range(n_epochs):
            for index in range(50000 // batch_size):
                train(index)
            curve.append(errors())
        axes.plot(100 * np.array(curve), ".-", label=f"minibatches of {batch_size:,}")
    save(figure, axes, "gradient_descent", ylim=(0, 50))


def draw_overfitting(datasets, n_examples=500, n_epochs=150):
    x, y = T.matrix("x"), T.ivector("y")
    (train_x, train_y), valid, _ = datasets
    few = train_x[:n_examples], train_y[:n_examples]
    classifier = MLP(np.random.RandomState(1234), x, 784, 500, 10)
    cost = classifier.negative_log_likelihood(y)
    train = minibatch_function([x, y], cost, few, 20, sgd_updates(cost, classifier.params, 0.05))
    measured = {"training": few, "validation": valid}
    curves = {name: [] for name in measured}
    for _ in range(n_epochs):
        for index in range(n_examples // 20):
            train(index)
        for name, (data_x, data_y) in measured.items():
            curves[name].append(100 * evaluate(classifier.errors(y), {x: data_x, y: data_y}))
    figure, axes = new_figure("epoch", "error (%)")
    for name, curve in curves.items():
        axes.plot(range(1, n_epochs + 1), curve, label=f"{name} set")
    save(figure, axes, "overfitting", ylim=(0, 40))


def draw_patience():
    rows = theano_tutorials.train_logreg().history
    figure, axes = new_figure("iteration", "iteration")
    last = rows["patience"][-1] + 1  # where the training ends
    axes.plot([0, last], [0, last], label="iteration")
    axes.step(
        [0, *rows["iteration"], last], [5000, *rows["patience"], rows["patience"][-1]], where="post", label="patience"
    )
    errors = axes.twinx()
    errors.plot(rows["iteration"], 100 * rows["validation_error"], "C2", linewidth=1)
    errors.set_ylabel("validation error (%)", color="C2")
    save(figure, axes, "patience")


def new_figure(xlabel, ylabel):
    figure = Figure(figsize=(6, 4), layout="constrained", dpi=120)
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.3)
    return figure, axes


def save(figure, axes, name, **limits):
    axes.set(**limits)
    axes.legend()
    figure.savefig(IMAGES / f"{name}.png", metadata={"Software": None})


if __name__ == "__main__":
    draw_graphs()
    mnist = load_data("mnist")
    draw_gradient_descent(mnist)
    draw_overfitting(mnist)
    draw_patience()
