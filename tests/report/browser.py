"""A browser driven over a pipe: Chrome's DevTools protocol, as much as the report's test needs."""
import base64
import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
import zlib


def find():
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One headless browser with one page. `complaints`: console errors and exceptions since it was opened."""

    def __init__(self, program):
        self.folder = tempfile.mkdtemp(prefix="stackrig-browser-")
        to_browser, from_us = os.pipe()
        from_browser, to_us = os.pipe()

        def in_child():
            # The protocol's descriptors are 3 and 4, by definition. Ours may lie there already.
            high = [os.dup2(to_browser, 100), os.dup2(to_us, 101)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
             "--remote-debugging-pipe", f"--user-data-dir={self.folder}"],
            preexec_fn=in_child, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(to_us)
        self.out, self.into, self.buffer, self.number = from_us, from_browser, b"", 0
        self.complaints, self.requests, self.session = [], [], None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(domain + ".enable")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.into)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def read(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.into, 1 << 20)
            if not piece:
                raise RuntimeError("the browser is gone")
            self.buffer += piece
        text, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(text)
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        elif method == "Runtime.consoleAPICalled" or method == "Log.entryAdded":
            self.complaints.append(json.dumps(parameters.get("entry", parameters))[:300])
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        return message

    def open(self, url, width=1180, height=1600):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.ask("Page.navigate", url=url)
        deadline = time.monotonic() + 30
        while self.run("document.readyState") != "complete":
            if time.monotonic() > deadline:
                raise RuntimeError(f"{url} does not load")
            time.sleep(.02)

    def run(self, expression):
        """The value of a JavaScript expression."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key)

    def screenshot(self):
        """PNG of the whole page."""
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"])


def colours(png):
    """How many different pixel values a PNG of 8-bit channels has, sampled by whole rows after undoing the filters."""
    position, data, width, channels = 8, b"", 0, 0
    while position < len(png):
        length, kind = struct.unpack(">I4s", png[position:position + 8])
        body = png[position + 8:position + 8 + length]
        if kind == b"IHDR":
            width, _, _, colour = struct.unpack(">IIBB", body[:10])
            channels = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            data += body
        position += 12 + length
    raw, stride, found = zlib.decompress(data), width * channels, set()
    before = bytearray(stride)
    for start in range(0, len(raw), stride + 1):
        rule, row = raw[start], bytearray(raw[start + 1:start + 1 + stride])
        for i in range(stride):
            a = row[i - channels] if i >= channels else 0
            b = before[i]
            c = before[i - channels] if i >= channels else 0
            if rule == 1:
                row[i] = row[i] + a & 255
            elif rule == 2:
                row[i] = row[i] + b & 255
            elif rule == 3:
                row[i] = row[i] + (a + b) // 2 & 255
            elif rule == 4:
                p = a + b - c
                nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
                row[i] = row[i] + nearest & 255
        before = row
        found.update(bytes(row[i:i + 3]) for i in range(0, stride, channels * 7))
        if len(found) > 200:
            break
    return len(found)
