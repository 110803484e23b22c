"""Writes report.json, report.md and log.txt from what check.sh noted: after every part, so that a run that is cut short
has a report, too.

    python3 report.py NOTES OUT

predictions.json beside it has what bench:model expects of some cards. It stands beside what was measured, where the card
and the size are among them.
"""

import json
import re
import sys
from pathlib import Path

PREDICTIONS = Path(__file__).with_name("predictions.json")
TAIL = 40  # lines of a failed part's output in the report; log.txt has all


def text_of(path):
    return path.read_text(errors="replace").strip() if path.exists() else ""


def result_of(output):
    """What a program printed as JSON, or how many tests it counted."""
    try:
        result = json.loads(output)
        return result if isinstance(result, dict) else None
    except ValueError:
        counted = re.search(r"(\d+) passed, (\d+) failed\s*$", output) or re.search(
            r"^(\d+) passed, (\d+) failed$", output, re.MULTILINE
        )
        return {"passed": int(counted[1]), "failed": int(counted[2])} if counted else None


def read_part(folder):
    part = {"name": folder.name.split("-", 1)[1], "command": text_of(folder / "command")}
    if (folder / "skipped").exists():
        return {**part, "status": "skipped", "reason": text_of(folder / "skipped")}
    code = int(text_of(folder / "code") or -1)
    begin, end = (float(time.replace(",", ".")) for time in text_of(folder / "times").split())
    timed_out = code in (124, 137)
    output, errors = text_of(folder / "out"), text_of(folder / "err")
    part |= {
        "status": "passed" if code == 0 else "timed out" if timed_out else "failed",
        "exitCode": code,
        "seconds": round(end - begin, 2),
        "limitSeconds": int(text_of(folder / "limit")),
        "result": result_of(output),
    }
    lines = (output + "\n" + errors).strip().splitlines()
    part["tail"] = lines[-TAIL:] if code != 0 else []
    if part["name"] == "parity_test":
        part["figures"] = output.splitlines()
    return part


def read_notes(notes):
    machine = {path.name: text_of(path) for path in sorted((notes / "machine").iterdir())}
    folders = [folder for folder in sorted((notes / "parts").iterdir())]
    parts = [read_part(folder) for folder in folders if any((folder / end).exists() for end in ("times", "skipped"))]
    return machine, parts


# ---- Markdown --------------------------------------------------------------------------------------------------------


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines)


def short(value):
    return "?" if value is None else f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def describe_result(part):
    result = part.get("result") or {}
    if part["status"] == "skipped":
        return part["reason"]
    if "passed" in result:
        return f"{result['passed']} passed, {result['failed']} failed"
    if part["status"] == "timed out":
        return f"more than {part['limitSeconds']} s"
    return "" if part["status"] == "passed" else f"exit code {part['exitCode']}"


def judged(figure):
    """A figure, and its bar where it has one."""
    if "bar" not in figure:
        return short(figure.get("value"))
    return f"{short(figure['value'])} ({'within' if figure['within'] else 'MISSES'} {short(figure['bar'])})"


def seed_parity(result):
    columns = {
        "featuresRelativeL2": "features, relative L2",
        "featuresOneMinusCosine": "features, 1 - cosine",
        "flowWorstPx": "flow, worst px",
        "flowMeanPx": "flow, mean px",
        "flowDriftPercent": "flow drift, % of mean magnitude",
    }
    rows = []
    for one in result["results"]:
        figures = [one["error"]] + [""] * (len(columns) - 1) if "error" in one else [judged(one[c]) for c in columns]
        rows.append([one["precision"], *figures])
    return table(["precision", *columns.values()], rows)


MODELS = {"seed": "the seed's configuration", "default": "the package's model, refined"}

LATENCIES = (
    ("frame", "frameMs"),
    ("backbone", "encodeMs"),
    ("head", "headMs"),
    ("frame, on the device", "deviceFrameMs"),
    ("backbone, on the device", "deviceEncodeMs"),
    ("head, on the device", "deviceHeadMs"),
)


def latency(result):
    columns = ["p50", "p90", "p95", "p99", "p999", "max", "p99OverP50"]
    rows = []
    for one in result["results"]:
        if "error" in one:
            rows.append([one["precision"], one["error"], *[""] * (len(columns) + 2)])
            continue
        for what, key in LATENCIES:
            if key not in one:
                continue
            rate = short(one["framesPerSecond"]) if what == "frame" else ""
            rows.append([one["precision"], what, *[short(one[key][c]) for c in columns], one["frames"], rate])
    return table(["precision", "ms", "p50", "p90", "p95", "p99", "p99.9", "max", "p99/p50", "frames", "frames/s"], rows)


def torch_stream(result, ours):
    times = result["frameMs"]
    columns = ["p50", "p90", "p99", "max", "p99OverP50"]
    p50 = next((one["frameMs"]["p50"] for one in ours if one["precision"] == result["precision"] and "frameMs" in one), 0)
    ratio = short(times["p50"] / p50) if p50 else ""
    row = [result["peer"], result["precision"], *[short(times[c]) for c in columns], result["frames"], ratio]
    return table(["", "precision", "p50", "p90", "p99", "max", "p99/p50", "frames", "its p50 / ours"], [row])


def predicted_card(result):
    """The card of predictions.json that the launches were measured on; none, or of another size or precision: None."""
    known = json.loads(PREDICTIONS.read_text())
    if any(known[key] != result[key] for key in ("height", "width", "precision")):
        return None
    same = ("capability", "multiprocessors")
    return next((card for card in known["cards"] if all(card[key] == result[key] for key in same)), None)


def launches(result, card):
    """Longest first. A launch without a prediction has blanks, and so has a prediction without a launch."""
    expected = {(one["kernel"], tuple(one["grid"])): one for one in (card or {"launches": []})["launches"]}
    rows = []
    for one in result["launches"]:
        known = expected.pop((one["kernel"], tuple(one["grid"])), None)
        prediction = [""] * 3
        if known:
            us = known["us"] + card["ordinaryGapUs"]
            prediction = [short(us), short(one["us"] / us), known["limiter"]]
        total = one["us"] * one["times"]
        rows.append((total, [one["kernel"], grid_of(one), one["times"], short(one["us"]), *prediction, short(total)]))
    rows.sort(key=lambda row: -row[0])
    for one in expected.values():
        us = one["us"] + card["ordinaryGapUs"]
        rows.append((0, [one["kernel"], grid_of(one), one["times"], "", short(us), "", one["limiter"], ""]))
    head = ["kernel", "grid", "launches", "us each", "predicted", "measured / predicted", "limiter by the prediction", "us"]
    return table(head, [row for _, row in rows])


def grid_of(one):
    return " x ".join(str(side) for side in one["grid"])


def predicted_frame(result, card, ours):
    """All launches, each with an ordinary gap, and the frame, where they may begin before others are done."""
    launches = sum(one["us"] * one["times"] for one in result["launches"]) / 1e3
    frame = next((one["deviceFrameMs"]["p50"] for one in ours if one["precision"] == "fp16" and "deviceFrameMs" in one), None)
    of_launches = (card["kernelUs"] + card["nodes"] * card["ordinaryGapUs"]) / 1e3
    rows = []
    for name, value, predicted in (("launches by themselves", launches, of_launches), ("frame", frame, card["frameUs"] / 1e3)):
        rows.append([name, short(value), short(predicted), "" if value is None else short(value / predicted)])
    return table(["ms in a frame, fp16", "measured", "predicted", "measured / predicted"], rows)


def stages(result):
    rows = []
    for where in ("backbone", "head"):
        for one in sorted(result[where], key=lambda stage: -stage["ms"]):
            rows.append([where, one["stage"], one["calls"], short(one["ms"]), short(one["gflops"] / 1e3)])
    return table(["part", "stage", "calls", "ms in a frame", "TFLOP/s"], rows)


def tensor_cores(result):
    rows = []
    for one in result["kernels"]:
        number = one["instructions"] or ("NONE" if one["needed"] else "")
        rows.append([one["kernel"], f"sm_{one['architecture']}", number])
    return table(["kernel", "for", "instructions"], rows)


def end_to_end(result):
    rows = []
    for one in result["results"]:
        replays = one.get("error") or ("yes" if one["same"] else "NO")
        rows.append([one["precision"], short(one.get("flowWorstPx")), short(one.get("flowMeanPx")), replays])
    return table(["precision", "flow, worst px", "flow, mean px", "replays give the same bits"], rows)


def markdown(machine, parts):
    title = {"passed": "passed", "failed": "FAILED", "timed out": "TIMED OUT", "skipped": "skipped"}
    text = [
        f"# On {machine.get('device') or 'no GPU'}",
        table(["", ""], [(name, value) for name, value in machine.items() if value]),
        "## Parts",
        table(
            ["part", "", "s", ""],
            [(p["name"], title[p["status"]], p.get("seconds", ""), describe_result(p)) for p in parts],
        ),
    ]
    ours = next((p["result"]["results"] for p in parts if p["name"] == "latency-seed" and p.get("result")), [])
    for part in parts:
        result, name = part.get("result"), part["name"]
        if result and {"results", "backbone", "kernels", "launches", "peer"} & result.keys():
            size = f"{result['height']} x {result['width']}" if "height" in result else ""
            if name == "seed_parity":
                text += [f"## The seed's configuration against the oracle, {size}", seed_parity(result)]
            elif name.startswith("latency"):
                text += [
                    f"## One frame of a stream, {MODELS[result['model']]}, {size}",
                    "The caller's time, with staging, copies and waits; on the device, by its own clock, from the begin to "
                    "the end of the graphs, without copies from and to the host. The bar for the seed's model, for the "
                    "caller's time in fp16 at 640 x 640 on an H200: p50 at most 1.2 ms, p99/p50 at most 1.15.",
                    latency(result),
                ]
            elif name == "launch_times":
                card = predicted_card(result)
                text += [f"## The launches of such a frame, {size}, beside their predictions"]
                text += [predicted_frame(result, card, ours)] if card else ["There are no predictions for this card and size."]
                text += [
                    f"Each is a graph of {result['repeats']} such launches over their number: with the gap between two of them, "
                    "none of which begins before the other is done, and with what it reads in L2. METHOD.md says how to read this.",
                    launches(result, card),
                ]
            elif name == "torch_stream":
                text += [f"## The same frame in PyTorch, {size}, ms", torch_stream(result, ours)]
            elif name.startswith("stages"):
                text += [
                    f"## Stages, {result['precision']}, {size}",
                    "Every call is launched and waited for by itself: some microseconds of each are that.",
                    stages(result),
                ]
            elif name == "tensor_cores":
                text += ["## Tensor-core instructions", "HMMA in the machine code.", tensor_cores(result)]
            elif name == "end-to-end":
                text += ["## Through the addon, the tiny model against the oracle", end_to_end(result)]
        if part.get("figures"):
            text += ["## The tiny model against the oracle", "```\n" + "\n".join(part["figures"]) + "\n```"]
    for part in parts:
        if part.get("tail"):
            text += [f"## {part['name']}: the end of its output", "```\n" + "\n".join(part["tail"]) + "\n```"]
    return "\n\n".join(text) + "\n"


def log(notes):
    pieces = []
    for folder in sorted((notes / "parts").iterdir()):
        pieces.append(f"==== {folder.name}: {text_of(folder / 'command')}")
        pieces += [text_of(folder / stream) for stream in ("out", "err") if text_of(folder / stream)]
    return "\n".join(pieces) + "\n"


def main(notes, out):
    machine, parts = read_notes(notes)
    counts = {}
    for part in parts:
        counts[part["status"]] = counts.get(part["status"], 0) + 1
    seconds = round(sum(part.get("seconds", 0) for part in parts), 2)
    report = {"machine": machine, "seconds": seconds, "counts": counts, "parts": parts}
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (out / "report.md").write_text(markdown(machine, parts))
    (out / "log.txt").write_text(log(notes))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: report.py NOTES OUT")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
