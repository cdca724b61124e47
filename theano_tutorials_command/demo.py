"""Draw a digit in the browser, and see how a saved model reads it.

The page shows the probability of each class, the picture as the model gets it, and
the maps of each convolution. It is served to this computer only, and loads nothing
from elsewhere. Ctrl-C ends it.
"""

import base64
import io
import math
import socket

import numpy as np
import theano

from theano_tutorials import load_model
from theano_tutorials.datasets import BYTE_SCALE
from theano_tutorials_command.errors import fail
from theano_tutorials_command.options import add_model
from theano_tutorials_command.start import add_device

NAME = "demo"
_PAPER = 280  # pixels of a side
_PEN = 20  # pixels
_MOST_POINTS = 20_000  # of a drawing: whoever sends more is no hand
_EVENTS = ["mousedown", "mousemove", "mouseup", "mouseleave"]


def add_options(parser):
    """Add the options of this command to its parser."""
    add_model(parser)
    parser.add_argument("--port", type=int, default=8080, help="of the address http://127.0.0.1:PORT")
    add_device(parser)


def run(options):
    """Run this command with its options."""
    try:
        from nicegui import ui
    except ImportError:
        fail("nicegui is not installed: pip install 'theano_tutorials[demo]' (it needs Python 3.10 or newer)")
    _require_free(options.port)
    model, predict = load_model(options.model)
    if predict is None or math.prod(model.example_shape) != 28 * 28:
        fail(f"{options.model} does not read images of 28 x 28 pixels: expected a classifier of digits")
    read = _reader(model, predict)
    ui.page("/")(lambda: _page(ui, read))
    print(f"http://127.0.0.1:{options.port}", flush=True)
    ui.run(
        host="127.0.0.1",
        port=options.port,
        title="Theano Tutorials",
        show=False,
        reload=False,
        show_welcome_message=False,
        uvicorn_logging_level="error",
    )


def _require_free(port):
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            fail(f"port {port} cannot be used ({error}): choose another with --port")


def _reader(model, predict):
    # A function of strokes: probabilities, the picture as the model gets it, and one picture of maps for each layer.
    from PIL import Image  # here, since these would delay every start

    from theano_tutorials.images import as_in_mnist
    from theano_tutorials.runs.plots import tile

    outputs = [getattr(layer, "output", None) for layer in vars(model).values()]
    maps = theano.function([model.input], [output for output in outputs if getattr(output, "ndim", 0) == 4])

    def read(strokes):
        pixels = as_in_mnist(np.asarray(_drawn(strokes))).pixels
        row = (pixels.reshape(1, -1) / BYTE_SCALE).astype(theano.config.floatX)
        pictures = [Image.fromarray(_bytes(tile(_scaled(of_layer[0])))) for of_layer in maps(row)]
        return predict(pixels[None])[0], Image.fromarray(pixels), pictures

    return read


def _drawn(strokes):
    from PIL import Image, ImageDraw

    paper = Image.new("L", (_PAPER, _PAPER), 255)
    draw = ImageDraw.Draw(paper)
    for stroke in strokes:
        draw.line(stroke, fill=0, width=_PEN, joint="curve")
        for x, y in (stroke[0], stroke[-1]):
            draw.ellipse((x - _PEN / 2, y - _PEN / 2, x + _PEN / 2, y + _PEN / 2), fill=0)
    return paper


def _scaled(maps):
    low, high = maps.min(), maps.max()
    return (maps - low) / max(high - low, 1e-6)


def _bytes(canvas):
    return np.uint8(255 * np.nan_to_num(canvas, nan=1))


def _address_of(image, scale):
    # The image itself: a file could be gone before the browser asks for it.
    file = io.BytesIO()
    image.resize((scale * image.width, scale * image.height), resample=0).save(file, "png")  # nearest pixels
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _page(ui, read):
    strokes = []

    def drawn(event):
        point = (min(max(event.image_x, 0), _PAPER), min(max(event.image_y, 0), _PAPER))
        if event.type == "mousedown":
            strokes.append([point])
        elif event.type == "mousemove" and event.buttons & 1 and strokes:
            strokes[-1].append(point)
        elif strokes:
            show()
        if sum(map(len, strokes)) > _MOST_POINTS:
            strokes.clear()
        paper.content = "".join(
            f'<polyline points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in [*stroke, stroke[-1]])}" fill="none" '
            f'stroke="black" stroke-width="{_PEN}" stroke-linecap="round" stroke-linejoin="round"/>'
            for stroke in strokes
        )

    def show():
        probabilities, picture, maps = read(strokes)
        answer.text = f"This is a {probabilities.argmax()}"
        results.clear()
        with results:
            with ui.column().style("gap: 0.2rem"):
                for label, probability in enumerate(probabilities):
                    with ui.row().classes("items-center"):
                        ui.label(f"{label}").classes("w-4")
                        ui.linear_progress(float(probability), show_value=False, size="0.8rem").style("width: 10rem")
                        ui.label(f"{probability:.4f}")
            titles = ["as the model gets it", *(f"maps of convolution {number}" for number in range(1, len(maps) + 1))]
            for title, image in zip(titles, [picture, *maps]):
                with ui.column():
                    ui.label(title)
                    scale = max(1, _PAPER // image.width)
                    ui.image(_address_of(image, scale)).style(f"width: {scale * image.width}px")

    def erase():
        strokes.clear()
        paper.content = ""
        answer.text = "Draw a digit"
        results.clear()

    answer = ui.label("Draw a digit").classes("text-h5")
    paper = ui.interactive_image(size=(_PAPER, _PAPER), events=_EVENTS, on_mouse=drawn, sanitize=False).style(
        f"width: {_PAPER}px; height: {_PAPER}px; border: 1px solid grey; cursor: crosshair; background: white"
    )
    ui.button("Erase", on_click=erase)
    results = ui.row()
