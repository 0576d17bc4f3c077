"""The JavaScript client as files, for a web server or a bundler of your own: made anew with each release.

python examples/library.py FOLDER
"""

import sys
from pathlib import Path

from primus_gevent import Primus

# With the options of the server: pathname, parser, heartbeats and plugins are compiled in.
primus = Primus(pathname="/live", global_name="Live")

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    primus.save(folder / "live.js")  # a script; also AMD and CommonJS
    primus.save(folder / "live.mjs", format="esm")
    text = "// (c) somebody\n" + primus.library()  # as a text, to add to or to minify
    (folder / "ours.js").write_text(text, encoding="utf-8")
