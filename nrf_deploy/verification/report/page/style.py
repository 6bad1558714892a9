"""Style of the page in light, in dark and on paper. Text has a contrast of at least 4.5."""

from __future__ import annotations

from .layer_labels import COLOURS

HUES = (210, 30, 140, 280, 0, 180, 50, 320, 100, 250, 15, 165)

_SHEET = """
:root{color-scheme:light dark;--back:#fff;--panel:#f5f6f8;--ink:#1b1f24;--soft:#4d5661;
--rule:#ced3da;--link:#0b57b0;--good:#12662f;--good-back:#e3f4e8;--bad:#9b1c1c;
--bad-back:#fdeaea;--warn:#7a4b00;--bar:#2f78d6;--mark:#c8102e}
@media (prefers-color-scheme:dark){:root{--back:#14171b;--panel:#1d2127;--ink:#e8eaed;
--soft:#b0b8c1;--rule:#3b434d;--link:#8ab8f5;--good:#8fdca6;--good-back:#15301f;--bad:#f6a5a5;
--bad-back:#3a1717;--warn:#f0c069;--bar:#5b9bec;--mark:#ff6b81}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1200px;padding:1.5rem 1.25rem 3rem;background:var(--back);
color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.25rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--rule)}
h3{font-size:1rem;margin:1rem 0 .25rem}
p{margin:.4rem 0;max-width:75ch;overflow-wrap:anywhere}
small,figcaption{font-size:.875rem;color:var(--soft);font-weight:400}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
nav ul,.legend,.findings{list-style:none;padding:0;margin:.5rem 0}
nav li{display:inline-block;margin-right:1rem}
.legend li{display:inline-block;margin-right:1.25rem;font-size:.875rem}
.swatch{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em}
.verdict{font-size:1.35rem;font-weight:650;padding:.6rem .9rem;border-radius:6px;
border-left:6px solid;max-width:none}
.good{color:var(--good);background:var(--good-back)}
.differs{background:var(--panel);border-color:var(--warn)}
.bad{color:var(--bad);background:var(--bad-back)}
.facts{display:flex;flex-wrap:wrap;gap:.75rem;margin:.75rem 0}
.facts div{background:var(--panel);border-radius:6px;padding:.6rem .9rem;flex:1 1 9rem}
.facts dt{font-size:1.3rem;font-weight:600;font-variant-numeric:tabular-nums}
.facts dd{margin:0;font-size:.875rem;color:var(--soft)}
.findings li{border-left:4px solid var(--rule);padding:.1rem .8rem;margin:.6rem 0}
.findings .error{border-color:var(--bad)}
.findings .error strong{color:var(--bad)}
.findings .warning{border-color:var(--warn)}
.findings .warning strong{color:var(--warn)}
.scroll{overflow-x:auto;margin:.75rem 0}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding-bottom:.3rem}
th,td{padding:.25rem 1.1rem .25rem 0;border-bottom:1px solid var(--rule);text-align:left;
vertical-align:baseline;font-weight:400;overflow-wrap:anywhere}
thead th,tfoot th{font-weight:600;overflow-wrap:normal}
tbody th{min-width:8rem}
td.n,th.n{text-align:right;white-space:nowrap;min-width:0;overflow-wrap:normal}
.share{color:var(--soft);display:inline-block;min-width:2.6rem}
.key{display:inline-block;min-width:1.6em;text-align:center;border-radius:3px;padding:0 .2em;
color:var(--ink)}
.bar{display:inline-block;height:.65em;background:var(--bar);margin-right:.5em;border-radius:1px}
pre{background:var(--panel);padding:.7rem .9rem;border-radius:6px;overflow-x:auto;font-size:.875rem}
details{margin:.4rem 0}
summary{cursor:pointer}
summary h3{display:inline}
figure{margin:0}
svg{display:block;max-width:none}
svg text{fill:var(--ink);font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
text-anchor:middle}
svg text.strong{font-weight:650}
svg text.label{text-anchor:start;font-size:12px}
svg text.mid{text-anchor:middle}
.box{fill:var(--panel);stroke:var(--soft)}
.edge{fill:none;stroke:var(--soft);stroke-width:1.4}
.back{stroke-dasharray:5 3}
.head{fill:var(--soft)}
.free{fill:none;stroke:var(--soft);stroke-opacity:.5}
.trough{fill:var(--ink);fill-opacity:.15}
.level{fill:var(--ink);fill-opacity:.75}
.ground{fill:var(--panel)}
.raster image{image-rendering:pixelated}
.mark{fill:none;stroke:var(--mark);stroke-width:1.5}
line.mark{stroke-dasharray:4 3}
.tick{stroke:var(--soft)}
footer{margin-top:2.5rem;font-size:.875rem;color:var(--soft)}
"""

_PRINT = """
@media print{:root{--back:#fff;--panel:#f5f6f8;--ink:#000;--soft:#333;--rule:#bbb;--link:#000;
--good:#12662f;--good-back:#fff;--bad:#9b1c1c;--bad-back:#fff;--warn:#7a4b00;--bar:#2f78d6;
--mark:#c8102e;color-scheme:light}
body{font-size:10pt;padding:0;max-width:none;print-color-adjust:exact;
-webkit-print-color-adjust:exact}
nav{display:none}
.scroll{overflow:visible}
svg{max-width:100%;height:auto}
table{font-size:8pt}
pre{white-space:pre-wrap}
details::details-content{content-visibility:visible;display:block;height:auto}
h2,h3,summary,caption,thead,h2+p{break-after:avoid}
figure,table,tr,.findings li,.plan{break-inside:avoid}
@page{margin:14mm}}
"""


def sheet() -> str:
    light = _fills(82, 60)
    dark = _fills(28, 45)
    return (
        f"{_SHEET}{light}@media screen and (prefers-color-scheme:dark){{{dark}}}{_PRINT}"
    ).replace("\n", "")


def _fills(lightness: int, saturation: int) -> str:
    colours = ((k, f"hsl({HUES[k]} {saturation}% {lightness}%)") for k in range(COLOURS))
    return "".join(f".c{k}{{fill:{c};background:{c}}}" for k, c in colours)
