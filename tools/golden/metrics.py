"""Golden values of classification metrics, computed by scikit-learn and SciPy.

Writes tests/golden/eval/metrics.json: cases of labels and float32 probabilities with what scikit-learn makes of them. Probabilities are
small multiples of 1/1024 without ties, so the file is short and every float is exact.

Run: python tools/golden/metrics.py
"""

import json
import pathlib
import warnings

import numpy
import scipy
import scipy.stats
import sklearn
from sklearn import metrics

PARTS = 1024


def draw_row(rng, classes, label, skill):
    """Integer parts that sum to PARTS, all different, the label's made likelier by `skill`."""
    while True:
        weights = rng.dirichlet(numpy.ones(classes))
        weights[label] += skill * rng.random()
        parts = numpy.floor(weights / weights.sum() * PARTS).astype(int)
        parts[numpy.argmax(parts)] += PARTS - parts.sum()
        if len(set(parts.tolist())) == classes and parts.min() >= 1:
            return parts.tolist()


def case(name, rng, classes, labels, skill):
    parts = [draw_row(rng, classes, label, skill) for label in labels]
    shares = numpy.array(parts, dtype=numpy.float64) / PARTS
    predicted = shares.argmax(axis=1)
    every = list(range(classes))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    macro = metrics.precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    right = int((predicted == numpy.array(labels)).sum())
    interval = scipy.stats.binomtest(right, len(labels)).proportion_ci(0.95, method="wilson")
    top5 = 1.0 if classes <= 5 else float(metrics.top_k_accuracy_score(labels, shares, k=5, labels=every))
    return {
        "name": name,
        "classes": classes,
        "labels": labels,
        "parts": parts,
        "top1": float(metrics.accuracy_score(labels, predicted)),
        "top1_interval": [float(interval.low), float(interval.high)],
        "top5": top5,
        "mean_loss": float(metrics.log_loss(labels, shares, labels=every)),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "support": support.tolist(),
        "macro": [float(v) for v in macro[:3]],
        "confusion": metrics.confusion_matrix(labels, predicted, labels=every).ravel().tolist(),
    }


def main():
    warnings.simplefilter("ignore")
    rng = numpy.random.default_rng(20260131)
    cases = [
        case("two classes", rng, 2, rng.integers(0, 2, 60).tolist(), 1.0),
        case("seven classes", rng, 7, rng.integers(0, 7, 80).tolist(), 1.0),
        case("predicted classes without photos", rng, 9, rng.choice([0, 1, 2, 3, 5, 8], 50).tolist(), 0.3),
        case("twelve classes at chance", rng, 12, rng.integers(0, 12, 60).tolist(), 0.0),
        case("classes that occur nowhere", rng, 6, rng.integers(0, 3, 30).tolist(), 3.0),
        case("all right", rng, 3, [0, 1, 2, 2], 1000.0),
    ]
    golden = {
        "generator": {"script": "tools/golden/metrics.py", "scikit-learn": sklearn.__version__, "scipy": scipy.__version__,
                      "numpy": numpy.__version__},
        "parts_per_one": PARTS,
        "cases": cases,
    }
    target = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/eval/metrics.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
