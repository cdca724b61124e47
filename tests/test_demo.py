"""The demo in a real browser: a digit that is drawn with the mouse, and what else may come to its address."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import theano.tensor as T

pytest.importorskip("nicegui", reason="NiceGUI needs Python 3.10 or newer")

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from theano_tutorials import LogisticRegression, read_data, save_parameters, train_lenet

pytestmark = [pytest.mark.one_python, pytest.mark.slow]
SCRIPT = Path(__file__).parents[1] / "scripts" / "demo.py"
# Chromium would ask its maker's servers for news.
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
A_SEVEN = [*((x, 60) for x in range(80, 210, 10)), *((200 - 6 * t, 60 + 11 * t) for t in range(16))]


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Directory of a LeNet that was trained for two epochs on a fifth of MNIST."""
    (train_x, train_y), (valid_x, valid_y), test = read_data("mnist")
    folder = tmp_path_factory.mktemp("demo") / "lenet"
    arrays = ((train_x[:10000], train_y[:10000]), (valid_x[:1000], valid_y[:1000]), test)
    train_lenet(dataset=arrays, batch_size=50, n_epochs=2, output_dir=folder)
    return folder


@pytest.fixture(scope="module")
def address(run):
    """Address of the demo, which runs as long as the tests of this file."""
    port = free_port()
    # NiceGUI would take the demo for a test of itself.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    with subprocess.Popen(
        [sys.executable, SCRIPT, run, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, process.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert output.startswith(f"http://127.0.0.1:{port}\n")
    assert "Traceback" not in output  # of a handler


@pytest.fixture
def browser(tmp_path):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium and chromedriver here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", *QUIET):
        options.add_argument(argument)
    with webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"))) as driver:
        yield driver


def draw(browser, points):
    paper = browser.find_element(By.CSS_SELECTOR, 'div[style*="crosshair"]')
    mouse = ActionChains(browser, duration=10)
    for number, (x, y) in enumerate(points):
        mouse.move_to_element_with_offset(paper, x - 140, y - 140)
        if not number:
            mouse.click_and_hold()
    mouse.release().perform()


def pictures(browser):
    return browser.find_elements(By.CSS_SELECTOR, ".q-img img")


def wait_for(browser, text):
    WebDriverWait(browser, 30).until(lambda driver: text in driver.find_element(By.TAG_NAME, "body").text)


def test_a_seven_drawn_with_the_mouse_is_read_as_a_seven(address, browser):
    browser.get(address)
    wait_for(browser, "Draw a digit")
    draw(browser, A_SEVEN)
    wait_for(browser, "This is a 7")
    text = browser.find_element(By.TAG_NAME, "body").text
    probabilities = [float(line) for line in text.splitlines() if line.startswith(("0.", "1."))]
    assert len(probabilities) == 10
    assert np.argmax(probabilities) == 7
    assert abs(sum(probabilities) - 1) < 0.001
    assert "as the model gets it" in text
    assert "maps of convolution 1" in text
    assert "maps of convolution 2" in text
    WebDriverWait(browser, 30).until(lambda driver: len(pictures(driver)) == 3)

    browser.find_element(By.TAG_NAME, "button").click()
    wait_for(browser, "Draw a digit")
    assert not pictures(browser)

    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = {
        event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
    }
    assert any(url.startswith(address) for url in requested)
    assert not [url for url in requested if not url.startswith((address, "data:", "chrome:"))]  # the last: its own
    assert browser.get_log("browser") == []


def test_a_dot_is_read_too(address, browser):
    browser.get(address)
    wait_for(browser, "Draw a digit")
    draw(browser, [(140, 140)])
    wait_for(browser, "This is a ")


@pytest.mark.parametrize("path", ["/", "/_nicegui/client", "/_nicegui_ws/socket.io/?EIO=4", "/no/page"])
@pytest.mark.parametrize("body", [b"", b"\x00\xff" * 1000, b'{"strokes": [[1e999]]}', b"x" * 10**7], ids=len)
def test_bad_posts_are_refused_and_the_page_is_still_there(address, path, body):
    with pytest.raises(urllib.error.URLError) as caught:
        urllib.request.urlopen(f"{address}{path}", data=body, timeout=30)
    if isinstance(caught.value, urllib.error.HTTPError):
        assert 400 <= caught.value.code < 500
        caught.value.close()
    else:
        assert len(body) > 10**6  # it is cut off before it is read
    with urllib.request.urlopen(address, timeout=30) as page:
        assert page.status == 200


def test_it_listens_on_the_loopback_only(address):
    port = int(address.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        outward.connect(("192.0.2.1", 9))  # sends nothing; chooses this machine's own address
        own = outward.getsockname()[0]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((own, port), timeout=5)


def test_a_model_of_other_images_is_refused(tmp_path, run_script):
    save_parameters(tmp_path / "small.safetensors", LogisticRegression(T.matrix(), 30, 3))
    finished = run_script("demo.py", tmp_path / "small.safetensors")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.endswith("does not read images of 28 x 28 pixels: expected a classifier of digits\n")


def test_a_port_that_is_taken_is_an_error(tmp_path, run_script):
    save_parameters(tmp_path / "model.safetensors", LogisticRegression(T.matrix(), 784, 10))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finished = run_script("demo.py", tmp_path / "model.safetensors", "--port", taken.getsockname()[1])
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: port ")
    assert finished.stderr.count("\n") == 1
