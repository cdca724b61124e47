"""Tables and plots out of the raw numbers: python -m benchmarks.report."""

import json
import statistics
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
RAW = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"
BEGIN, END = "<!-- written by make bench -->", "<!-- end of what make bench writes -->"

OURS = "theano"
NAMES = {
    "theano": "this library",
    "torch eager": "PyTorch eager",
    "torch compile": "torch.compile",
    "jax step": "JAX, jitted step",
    "jax scan": "JAX, lax.scan",
    "numpy": "NumPy",
}
COLOURS = dict(zip(NAMES, ("#d62728", "#ff9d5c", "#c75b12", "#8fb8de", "#1f4e8c", "#7f7f7f")))
MODELS = {"logreg": "logistic regression", "mlp": "multilayer perceptron", "lenet": "LeNet"}
AXES = {"batch_size": "batch size", "n_hidden": "hidden units", "n_train": "training examples"}
CACHES = ("warm", "cold")
COURSE_KINDS = [kind for kind in NAMES if kind != "numpy"]


def _cell(values, ours):
    """Median, spread and ratio to ours."""
    median = statistics.median(values)
    spread = f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else ""
    return f"{median:.3g}{spread}, {median / ours:.2f}x"


def _table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _with(threads):
    return f"{threads} thread{'s' * (threads != '1')}"


def _row(title, cells, kinds=NAMES):
    """One line of numbers by kind, with the ratio to ours; empty where there are none."""
    ours = statistics.median(cells[OURS])
    return [title, *(_cell(cells[kind], ours) if cells.get(kind) else "" for kind in kinds)]


def _epoch_table(results):
    rows = []
    for model, title in MODELS.items():
        for threads, measured in results["epochs"][model].items():
            cells = {kind: of_kind["seconds"] for kind, of_kind in measured.items()}
            row = _row(f"{title}, {_with(threads)}", cells)
            for index, kind in enumerate(NAMES, 1):
                if "limit" in measured[kind] and not measured[kind]["seconds"]:
                    row[index] = f"over {measured[kind]['limit']}"
            dense = results["machine"]["dense_flops"][model] / results["machine"]["sgemm_flops"][threads]
            rows.append([*row, _cell([dense], statistics.median(cells[OURS]))])
    return _table(["seconds an epoch", *NAMES.values(), "dense FLOPs at sgemm's peak"], rows)


def _wrong_table(results):
    rows = [
        [
            f"{title}, {_with(threads)}",
            *(str(measured[kind].get("wrong", "")) for kind in NAMES),
        ]
        for model, title in MODELS.items()
        for threads, measured in results["epochs"][model].items()
    ]
    return _table(["misclassified after the epoch", *NAMES.values()], rows)


def _start_table(results):
    rows = [
        _row(f"{title}, {cache}", {kind: of_kind.get(cache) for kind, of_kind in results["starts"][model].items()})
        for model, title in MODELS.items()
        for cache in CACHES
    ]
    return _table(["seconds to the first update", *NAMES.values()], rows)


def _train_table(results):
    return _table(
        ["seconds from start to end", *NAMES.values()],
        [_row("`train_logreg()`, 74 epochs", results["train"]["seconds"])],
    )


def _peaks(results, model):
    return {
        kind: [of_kind["peak_mib"]] for kind, of_kind in results["epochs"][model]["2"].items() if "peak_mib" in of_kind
    }


def _memory_table(results):
    return _table(
        ["peak of memory, MiB", *NAMES.values()],
        [_row(title, _peaks(results, model)) for model, title in MODELS.items()],
    )


COURSE = {
    "da": "denoising autoencoder",
    "ca": "contractive autoencoder",
    "rbm": "restricted Boltzmann machine, PCD-15",
    "finetune": "fine-tuning of three layers of 1,000 units",
}


def _peaks_of_sgemm(measured):
    return " and ".join(f"{flops / 1e9:.0f}" for flops in measured["sgemm_flops"].values())


def _course_table(results):
    fastest = {}
    for measured in results["course"]["updates"]:
        row = fastest.setdefault((measured["model"], measured["batch_size"], measured["threads"]), {})
        values = [1000 * seconds for seconds in measured["seconds"]]
        if statistics.median(values) < statistics.median(row.get(measured["kind"], [float("inf")])):
            row[measured["kind"]] = values
    rows = [
        _row(f"{COURSE[model]}, batch of {size}, {_with(str(threads))}", cells, COURSE_KINDS)
        for (model, size, threads), cells in fastest.items()
    ]
    course = results["course"]
    return (
        f"{course['date']}, Python {course['python']}. "
        f"sgemm: {_peaks_of_sgemm(course)} GFLOP/s with 1 and 2 threads.\n\n"
        + _table(["milliseconds an update", *(NAMES[kind] for kind in COURSE_KINDS)], rows)
    )


def _ablation_table(results):
    ablation = results["ablation"]
    rows = [
        [
            f"without `{excluded}`" if excluded else "all rewrites",
            *(_cell(ablation[model][excluded], statistics.median(ablation[model][""])) for model in MODELS),
        ]
        for excluded in ablation["logreg"]
    ]
    return _table(["seconds an epoch, 2 threads", *MODELS.values()], rows)


def _trial_table(results):
    rows = []
    for model, title in MODELS.items():
        for kind in NAMES:
            for variant, seconds in results["trials"][model].get(kind, {}).items():
                rows.append([title, NAMES[kind], variant or "plain", f"{seconds:.3g}" if seconds else "over the limit"])
    return _table(["", "", "way", "seconds an epoch, 2 threads"], rows)


def _draw_bars(axis, groups, unit):
    """Groups of bars, {label: {kind: values}}, with medians and the whole spread."""
    width = 0.8 / len(NAMES)
    for index, (kind, name) in enumerate(NAMES.items()):
        at, medians, below, above = [], [], [], []
        for position, cells in enumerate(groups.values()):
            values = cells.get(kind)
            if values:
                median = statistics.median(values)
                at.append(position + (index - (len(NAMES) - 1) / 2) * width)
                medians.append(median)
                below.append(median - min(values))
                above.append(max(values) - median)
        style = {"color": COLOURS[kind], "label": name}
        axis.bar(at, medians, width, yerr=(below, above) if at else None, capsize=2, **style)
    axis.set_xticks(range(len(groups)), groups)
    axis.set_ylabel(unit)


def _legend_below(figure, axis):
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=len(NAMES) + 1, fontsize=8)


def draw_epochs(results):
    """Seconds an epoch, one panel a model, with the time of the dense products at sgemm's peak."""
    figure, axes = plt.subplots(1, len(MODELS), figsize=(13, 4.3), layout="constrained")
    for axis, (model, title) in zip(axes, MODELS.items()):
        measured = results["epochs"][model]
        groups = {
            _with(threads): {kind: of_kind["seconds"] for kind, of_kind in cells.items()}
            for threads, cells in measured.items()
        }
        _draw_bars(axis, groups, "seconds an epoch")
        for position, threads in enumerate(measured):
            dense = results["machine"]["dense_flops"][model] / results["machine"]["sgemm_flops"][threads]
            label = "dense FLOPs at sgemm's peak" if position == 0 else None
            axis.plot([position - 0.45, position + 0.45], [dense, dense], "k--", linewidth=1, label=label)
        axis.set_title(title)
    _legend_below(figure, axes[0])
    figure.savefig(IMAGES / "performance_epochs.png", dpi=100)
    plt.close(figure)


def draw_processes(results):
    """Start to first update, whole train_logreg and peak of memory."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.3), layout="constrained", width_ratios=(6, 1.5, 3))
    starts = {
        f"{model},\n{cache}": {kind: of_kind.get(cache) for kind, of_kind in results["starts"][model].items()}
        for model in MODELS
        for cache in CACHES
    }
    _draw_bars(axes[0], starts, "seconds to the first update")
    _draw_bars(axes[1], {"train_logreg": results["train"]["seconds"]}, "seconds from start to end")
    _draw_bars(axes[2], {model: _peaks(results, model) for model in MODELS}, "peak of memory, MiB")
    _legend_below(figure, axes[0])
    figure.savefig(IMAGES / "performance_processes.png", dpi=100)
    plt.close(figure)


def draw_growth(results):
    """Seconds an epoch over batch size, hidden units and data size, logarithmic."""
    figure, axes = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
    for axis, series in zip(axes.flat, results["growth"]):
        for kind, points in series["seconds"].items():
            axis.loglog(*zip(*points), "o-", color=COLOURS[kind], label=NAMES[kind], markersize=4)
        axis.set_title(MODELS[series["model"]])
        axis.set_xlabel(AXES[series["over"]])
        axis.set_ylabel("seconds an epoch")
        axis.legend(fontsize=8)
    figure.savefig(IMAGES / "performance_growth.png", dpi=100)
    plt.close(figure)


def _if_measured(results, part, *contents):
    """What these functions make of the results, or what was not measured."""
    if part not in results:
        return [f"(Not measured in the last run: {part}.)\n"]
    return [content(results) for content in contents]


def text(results):
    """The part of the page that make bench writes."""
    machine = results["machine"]
    versions = {}
    for of_kind in results["epochs"]["logreg"]["2"].values():
        for name, version in of_kind.get("versions", {}).items():
            versions.setdefault(name, []).append(version)
    shown = ", ".join(f"{name} {' and '.join(sorted(set(found)))}" for name, found in versions.items())
    loads = ", ".join(f"{part} {load:.1f}" for part, load in results["load"].items())
    return "\n".join(
        [
            f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, Python {machine['python']}, "
            f"{shown}. sgemm: {_peaks_of_sgemm(machine)} GFLOP/s with 1 and 2 threads. "
            f"Load average before each part: {loads}.\n",
            "Each cell: median, from least to most, and the ratio to ours.\n",
            _epoch_table(results),
            "![Seconds an epoch](images/performance_epochs.png)\n",
            _wrong_table(results),
            *_if_measured(results, "starts", _start_table),
            *_if_measured(
                results,
                "train",
                _train_table,
                lambda _: "![Start, whole training, memory](images/performance_processes.png)\n",
            ),
            _memory_table(results),
            "### The rest of the course\n",
            *_if_measured(results, "course", _course_table),
            *_if_measured(results, "growth", lambda _: "![How cost grows](images/performance_growth.png)\n"),
            *_if_measured(results, "ablation", lambda _: "### What each rewrite brings\n", _ablation_table),
            "### Ways to write a step that were tried\n",
            _trial_table(results),
        ]
    )


def write(results):
    """Put tables into the page and plots beside it."""
    before, found, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (found and end):
        raise ValueError(f"{PAGE}: the lines {BEGIN} and {END} are not there")
    draw_epochs(results)
    if {"starts", "train"} <= set(results):
        draw_processes(results)
    if "growth" in results:
        draw_growth(results)
    PAGE.write_text(f"{before}{BEGIN}\n{text(results)}{END}{after}")


if __name__ == "__main__":
    write(json.loads(RAW.read_text()))
