"""Golden values of the probe's logistic regression, computed by scikit-learn.

Writes tests/golden/train/logistic.json: cases by formula (the values of tools/golden/generated.py), each with the weight and bias at the
optimum. scikit-learn minimises C * sum of weighted losses + half the squared weights; headstart the weighted mean + l2 times that half, so
C = 1 / (l2 * sum of weights). Of two classes scikit-learn knows the difference alone, whose square is twice that of the two halves.

Run: python tools/golden/logistic.py
"""

import json
import pathlib

import numpy
import sklearn
from generated import generate
from sklearn.linear_model import LogisticRegression

CASES = [
    {"name": "two classes", "photos": 60, "features": 5, "classes": 2, "l2": 0.01, "class_weights": None},
    {"name": "two classes, hardly a penalty", "photos": 80, "features": 4, "classes": 2, "l2": 1e-4, "class_weights": None},
    {"name": "four classes, weighted", "photos": 90, "features": 6, "classes": 4, "l2": 0.02, "class_weights": [0.5, 2, 1, 1.5]},
    {"name": "more features than photos", "photos": 20, "features": 40, "classes": 3, "l2": 0.05, "class_weights": None},
]


def data(case):
    """Features of different sizes around 3; a photo's label adds 1 to the feature of that number."""
    photos, width = case["photos"], case["features"]
    labels = numpy.floor(generate(f"{case['name']}:labels", photos, 0, case["classes"])).astype(int)
    features = 3 + generate(f"{case['name']}:features", photos * width, -2, 2).reshape(photos, width) / (1 + numpy.arange(width) % 3)
    features[numpy.arange(photos), labels] += 1
    return features, labels


def solve(case):
    features, labels = data(case)
    weights = numpy.ones(len(labels)) if case["class_weights"] is None else numpy.array(case["class_weights"])[labels]
    halves = 2 if case["classes"] == 2 else 1
    model = LogisticRegression(C=halves / (case["l2"] * weights.sum()), solver="newton-cg", tol=1e-13, max_iter=10000)
    model.fit(features, labels, sample_weight=weights)
    weight, bias = model.coef_, model.intercept_
    if case["classes"] == 2:
        weight, bias = numpy.concatenate([-weight, weight]) / 2, numpy.concatenate([-bias, bias]) / 2
    bias = bias - bias.mean()
    return {**case, "weight": weight.ravel().tolist(), "bias": bias.tolist()}


def main():
    golden = {
        "generator": {"script": "tools/golden/logistic.py", "scikit-learn": sklearn.__version__, "numpy": numpy.__version__},
        "cases": [solve(case) for case in CASES],
    }
    target = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/train/logistic.json"
    target.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
