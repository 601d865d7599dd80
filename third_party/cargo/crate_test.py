"""Tests of crate.py, against a registry in this process."""

import contextlib
import http.server
import io
import os
import tempfile
import threading
import unittest

import crate

CONTENT = b"the bytes of a crate"


class Registry(http.server.BaseHTTPRequestHandler):
    """Serves an index and one crate."""

    def do_GET(self):
        host = f"http://127.0.0.1:{self.server.server_address[1]}"
        answers = {
            "/index/config.json": b'{"dl": "%s/dl"}' % host.encode(),
            "/dl/zeromq-src/0.3.6+4.3.5/download": CONTENT,
            "/broken/config.json": b"<html>",
        }
        answer = answers.get(self.path)
        self.send_response(404 if answer is None else 200)
        self.end_headers()
        self.wfile.write(answer or b"")

    def log_message(self, *_):
        pass


class CrateTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.home = os.path.join(self.directory, "cargo")
        os.mkdir(self.home)
        os.environ["CARGO_HOME"] = self.home
        self.output = os.path.join(self.directory, "output")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.host = f"http://127.0.0.1:{server.server_address[1]}"

    def configure(self, text):
        with open(os.path.join(self.home, "config.toml"), "w") as f:
            f.write(text.replace("HOST", self.host))

    def replace(self, source):
        self.configure('[source.crates-io]\nreplace-with = "mine"\n' + source)

    def download(self):
        """Returns the exit code and the error."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            code = crate.main(["zeromq-src", "0.3.6+4.3.5", self.output])
        return code, errors.getvalue()

    def test_sources(self):
        local = os.path.join(self.directory, "zeromq-src-0.3.6+4.3.5.crate")
        with open(local, "wb") as f:
            f.write(CONTENT)
        for source in (
            '[source.mine]\nregistry = "sparse+HOST/index/"\n',
            '[source.mine]\nregistry = "sparse+HOST/index"\n',
            '[source.mine]\nreplace-with = "other"\n[registries.other]\nindex = "sparse+HOST/index/"\n',
            f'[source.mine]\nlocal-registry = "{self.directory}"\n',
        ):
            with self.subTest(source):
                self.replace(source)
                self.assertEqual(self.download(), (0, ""))
                with open(self.output, "rb") as f:
                    self.assertEqual(f.read(), CONTENT)

    def test_failures(self):
        for source, want in (
            ('[source.mine]\nregistry = "sparse+HOST/nothing/"\n', "HTTP Error 404"),
            ('[source.mine]\nregistry = "sparse+HOST/broken/"\n', "Expecting value"),
            ('[source.mine]\nregistry = "https://git.test/index"\n', 'found index "https://git.test/index", expected sparse+https://...'),
            ('[source.mine]\ndirectory = "vendor"\n', "source.mine: found no index, expected"),
            ("", "source.mine: found no index, expected"),
            ('[source.mine]\nreplace-with = "crates-io"\n', "replace-with leads back to crates-io"),
            ("[", "config.toml: "),
        ):
            with self.subTest(source):
                self.replace(source)
                code, error = self.download()
                self.assertEqual((code, error.count("\n")), (1, 1))
                self.assertIn("zeromq-src 0.3.6+4.3.5: ", error)
                self.assertIn(want, error)

    def test_location_default_isCratesIO(self):
        self.assertEqual(crate.location(*crate.configuration()), ("template", crate.CRATES_IO))

    def test_location_environment(self):
        self.replace("")
        os.environ["CARGO_REGISTRIES_MINE_INDEX"] = "sparse+" + self.host + "/index/"
        self.addCleanup(os.environ.pop, "CARGO_REGISTRIES_MINE_INDEX")
        self.assertEqual(self.download(), (0, ""))

    def test_address(self):
        for template, name, want in (
            ("http://a.test", "ab", "http://a.test/ab/1.0.0/download"),
            ("http://a.test/{crate}-{version}.crate", "ab", "http://a.test/ab-1.0.0.crate"),
            ("http://a.test/{prefix}/{crate}", "a", "http://a.test/1/a"),
            ("http://a.test/{prefix}/{crate}", "abc", "http://a.test/3/a/abc"),
            ("http://a.test/{prefix}/{lowerprefix}", "AbCdE", "http://a.test/Ab/Cd/ab/cd"),
        ):
            self.assertEqual(crate.address(template, name, "1.0.0"), want)


if __name__ == "__main__":
    unittest.main()
