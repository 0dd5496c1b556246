"""Command line of the synthetic documents (`python -m benchmarks.synth --help`)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.degrade import KINDS as DEGRADATIONS
from benchmarks.synth import KINDS, layouts, make_document, save_pdf
from benchmarks.synth_samples import damaged, make_samples, write_key


def main(arguments: Sequence[str] | None = None) -> None:
    """Write documents and keys into a folder."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.samples:
        for path in make_samples(options.samples):
            print(path)
        return
    if options.out is None:
        parser.error("name a folder to write to, or give --samples FOLDER")
    if options.layout and options.layout not in layouts(options.kind):
        parser.error(f"{options.kind} has no layout {options.layout!r}; it has {', '.join(layouts(options.kind))}")
    unknown = [k for k in options.degrade if k not in DEGRADATIONS]
    if unknown or not 0 <= options.severity <= 1:
        parser.error(f"--degrade knows {', '.join(DEGRADATIONS)}; --severity lies in [0, 1]")
    _write_all(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synth", description="Draw documents with exact keys.")
    parser.add_argument("out", nargs="?", type=Path, help="folder for the documents and keys/NAME.json")
    parser.add_argument("--kind", choices=KINDS, default="invoice")
    parser.add_argument("--count", type=int, default=10, help="how many documents (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; the others follow (default 0)")
    parser.add_argument("--layout", help="one layout instead of a random one")
    parser.add_argument("--pages", type=int, help="pages of an invoice or statement")
    parser.add_argument("--pdf", action="store_true", help="write digital PDFs instead of pictures")
    parser.add_argument("--dpi", type=float, default=200)
    parser.add_argument(
        "--degrade", type=lambda text: [k for k in text.split(",") if k], default=[], metavar="KIND,KIND",
        help=f"damage the pictures: {', '.join(DEGRADATIONS)}",
    )  # fmt: skip
    parser.add_argument("--severity", type=float, default=0.5, help="of the damage, in [0, 1] (default 0.5)")
    parser.add_argument("--samples", type=Path, metavar="FOLDER", help="write the project's sample documents and stop")
    return parser


def _write_all(options: argparse.Namespace) -> None:
    (options.out / "keys").mkdir(parents=True, exist_ok=True)
    for seed in range(options.seed, options.seed + options.count):
        document = make_document(options.kind, seed, options.layout, options.pages)
        name = f"{options.kind}-{seed:05d}"
        write_key(document, options.out / "keys" / f"{name}.json")
        if options.pdf:
            save_pdf(document, options.out / f"{name}.pdf")
            continue
        pictures = damaged(document, tuple((k, options.severity) for k in options.degrade), seed, options.dpi)
        if len(pictures) == 1:
            pictures[0].save(options.out / f"{name}.png")
        else:
            pictures[0].save(
                options.out / f"{name}.tiff", save_all=True, append_images=pictures[1:], compression="tiff_lzw"
            )
