#!/usr/bin/env python3
"""The HTML report in a real browser: it draws, steps, complains about nothing, fetches nothing, and runs nobody else's script.

Usage: check-html.py RENDER. Exits 77 when there is no Chromium here.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import browser
from results import HOSTILE, result, swept, timeline, violation

RENDER = sys.argv.pop()
ATTACKS = ["<img src=x onerror=\"document.title='owned'\">", "</script><script>document.title='owned'</script>", "<svg onload=alert(1)>",
           "javascript:alert(1)", *HOSTILE]


def failing(name, text="B", stops=range(1, 41), cpus=2):
    recorded = timeline(stops, cpus=cpus, text=text)
    recorded["moments"][7]["kind"] = "event"
    recorded["moments"][3] |= {"kind": "ipi", "target": (recorded["moments"][3]["cpu"] + 1) % cpus}
    recorded["moments"][-1]["violated"] = ["INV-19"]
    return result(0, "FAIL", name=name, file=name, reason=text, why=text, notes=[text], console=[text], steps=[text, "inject " + text],
                  violations=[violation(text=text)], timeline=recorded,
                  landings=[{"event": text, "where": text, "exact": True, "detail": text, "address": "400007", "code": []}])


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.browser = browser.Browser(browser.find())

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.folder.cleanup()

    def load(self, results, **size):
        lines = "".join(json.dumps(r) + "\n" for r in results)
        subprocess.run([RENDER, self.folder.name], input=lines.encode(), check=True)
        self.browser.complaints.clear()
        self.browser.requests.clear()
        self.browser.open(pathlib.Path(self.folder.name, "report.html").as_uri(), **size)

    def tearDown(self):
        self.assertEqual(self.browser.complaints, [])
        self.assertEqual([url for url in self.browser.requests if not url.startswith(("file:", "data:"))], [])

    def now(self):
        return self.browser.run("document.querySelector('.now b').textContent")

    def test_it_draws_and_steps_by_keys(self):
        self.load([failing("one"), result(1)])
        self.assertEqual(self.browser.run("document.getElementById('headline').textContent"), "2 scenarios: 1 pass, 1 FAIL")
        self.assertEqual(self.now(), "Stop 40", "it opens where the invariant broke")
        self.assertEqual(self.browser.run("document.querySelectorAll('.state .card').length"), 4, "two CPUs, two threads")
        for key, stop in (("ArrowLeft", 39), ("Home", 1), ("e", 8), ("ArrowRight", 9), ("ArrowLeft", 8), ("x", 40), ("ArrowRight", 40), ("End", 40)):
            self.browser.press(key)
            self.assertEqual(self.now(), f"Stop {stop}", key)
        self.assertGreater(browser.colours(self.browser.screenshot()), 20, "the page is blank")

    def test_every_picture_has_words(self):
        self.load([failing("one")])
        self.assertEqual(self.browser.run("[...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label') && s.getAttribute('aria-hidden') !== 'true').length"), 0)
        self.assertIn("Timeline of 40 stops on 2 CPUs", self.browser.run("document.querySelector('svg[role=img]').getAttribute('aria-label')"))
        self.assertEqual(self.browser.run("document.querySelectorAll('table.dense tbody tr').length"), 40, "the same as a table")
        self.assertIn("./rig run", self.browser.run("document.querySelector('details > pre').textContent"))

    def boundary(self):
        return self.browser.run("[...document.querySelectorAll('.now b')].map(b => b.textContent).find(text => text.startsWith('Boundary'))")

    def test_a_sweep_is_a_map_that_keys_walk(self):
        self.load([swept()])
        self.assertEqual(self.boundary(), "Boundary 20", "it opens at the first finding")
        for key, there in (("ArrowRight", 21), ("f", 22), ("f", 23), ("f", 24), ("f", 40), ("f", 20), ("Home", 0), ("ArrowLeft", 0), ("End", 109), ("ArrowRight", 109)):
            self.browser.press(key)
            self.assertEqual(self.boundary(), f"Boundary {there}", key)
        self.browser.run("document.querySelectorAll('button.link')[1].click()")
        self.assertEqual(self.boundary(), "Boundary 40", "the places of a finding lead to it")
        self.assertIn("INV-19", self.browser.run("document.querySelector('.now').textContent"))
        self.browser.run("document.querySelector('.timeline .scroll').dispatchEvent(new MouseEvent('click', {clientX: document.querySelector('.timeline svg[role=img]').getBoundingClientRect().left + 1, bubbles: true}))")
        self.assertEqual(self.boundary(), "Boundary 0", "a click leads there")
        self.assertGreater(browser.colours(self.browser.screenshot()), 20, "the page is blank")

    def test_a_sweep_has_words_for_its_map(self):
        self.load([swept()])
        label = self.browser.run("document.querySelector('.timeline svg[role=img]').getAttribute('aria-label')")
        self.assertTrue(label.startswith("Map of 100 boundaries of the run by 2 events. irq: "), label)
        self.assertIn("6 a finding", label)
        self.browser.run("document.querySelector('.finding details:has(table)').open = true")
        time.sleep(.1)  # the rows are made when it opens
        cells = "[...document.querySelectorAll('table.dense:not(.coverage) tbody tr')].map(tr => [...tr.cells].map(td => td.textContent))"
        rows = self.browser.run(cells)
        self.assertEqual(rows[0], ["0", "enter0", "not applicable", "executed, rejoined the run without events"])
        self.assertIn("a finding", {row[2] for row in rows})
        by_function = self.browser.run("[...document.querySelectorAll('table.coverage tbody tr')].map(tr => [...tr.cells].map(td => td.textContent))")
        self.assertEqual(by_function[:3], [["enter0", "8", "8"], ["enter1", "8", "8"], ["enter2", "✗ 5 · 8", "8"]], "in the order of the run")
        self.assertEqual(len(by_function), 11)
        self.assertIn("Nothing was applicable in enter3.", self.browser.run("document.querySelector('.finding').textContent"))
        self.assertIn("./rig replay out/cx/found.toml", self.browser.run("document.querySelector('section.invariant .replay').textContent"))

    def test_a_finding_of_a_sweep_has_its_run(self):
        self.load([swept(shown=[failing("cx-inv-19-0", "a", stops=range(1, 41))])])
        self.assertEqual(self.browser.run("document.querySelectorAll('.shown article').length"), 0, "it is drawn when it is asked for")
        self.browser.run("document.querySelector('.shown').open = true")
        time.sleep(.1)
        self.assertIn("Timeline of 40 stops on 2 CPUs", self.browser.run("document.querySelector('.shown svg[role=img]').getAttribute('aria-label')"))
        self.assertIn("Stop ", self.browser.run("document.querySelector('.shown .now').textContent"))
        self.assertGreater(self.browser.run("document.querySelectorAll('.shown .code .next').length"), 0, "the code at the violation")
        self.browser.press("ArrowRight")
        self.assertEqual(self.boundary(), "Boundary 21", "the keys are the map's")

    def test_a_wide_sweep_fits_a_phone(self):
        self.load([swept(2000, ("alloc", "device", "irq", "mc", "nmi", "tick"))], width=390, height=844)
        self.assertLessEqual(self.browser.run("document.documentElement.scrollWidth"), 390, "the page scrolls sideways")
        self.browser.press("End")
        self.assertEqual(self.boundary(), "Boundary 1999")
        self.assertGreater(self.browser.run("document.querySelector('.timeline .scroll').scrollLeft"), 1000, "the map follows")

    def test_nobody_elses_script_runs(self):
        for i, attack in enumerate(ATTACKS):
            self.load([swept(text=attack, name="swept"), failing(attack, attack)])
            self.load([failing(attack, attack), result(1, name=attack, file=attack)])
            self.assertTrue(self.browser.run("document.title").startswith("stackrig: "), attack)
            self.assertEqual(self.browser.run("document.querySelectorAll('script').length"), 2, attack)
            self.assertEqual(self.browser.run("document.querySelectorAll('img, svg[onload]').length"), 0, attack)
            seen = self.browser.run("document.querySelector('.finding h3').textContent")
            self.assertEqual(seen, attack)

    def test_it_fits_a_phone(self):
        self.load([failing("a-long-name-that-goes-on-and-on-and-does-not-end-before-the-edge", stops=range(1, 500)), result(1)], width=390, height=844)
        self.assertLessEqual(self.browser.run("document.documentElement.scrollWidth"), 390, "the page scrolls sideways")

    def test_one_to_four_cpus_and_none(self):
        for cpus in (1, 3, 4):
            self.load([failing("one", cpus=cpus)])
            self.assertEqual(self.browser.run("[...document.querySelectorAll('.names text')].filter(t => /^cpu/.test(t.textContent)).length"), cpus)
            self.assertEqual(self.browser.run("document.querySelectorAll('.ipi').length"), min(1, cpus - 1))
        self.load([result(0, "ERROR", reason="the guest broke down"), result(1, "VACUOUS")])
        self.assertEqual(self.browser.run("document.querySelectorAll('.timeline').length"), 0)
        self.assertIn("the guest broke down", self.browser.run("document.querySelector('.finding').textContent"))

    def test_ten_thousand_results(self):
        self.load([failing("one")] + [result(i, "pass", name=f"n{i}") for i in range(10000)])
        self.assertEqual(self.browser.run("document.querySelectorAll('.results-table tbody tr').length"), 400)
        self.browser.run("(() => { const i = document.querySelector('input[type=search]'); i.value = 'n9999'; i.dispatchEvent(new Event('input')); })()")
        self.assertEqual(self.browser.run("document.querySelectorAll('.results-table tbody tr').length"), 1)


if __name__ == "__main__":
    if browser.find() is None:
        print("no Chromium here: the HTML report was not looked at in a browser")
        sys.exit(77)
    unittest.main()
