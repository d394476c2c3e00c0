from kit.inference.instance_settings import InstanceFusion
from kit.inference.labels_engine import LabelsFusion
from kit.typed_json import from_plain, to_plain
from train_local.ensemble import instance_tuning as tuning


def test_instance_settings_climb_to_the_best_of_each_choice():
    wanted = to_plain(InstanceFusion(morphology="opening", iou=0.7, vote_fraction=0.5, skip_score=0.05))
    asked = []

    def score(several):
        asked.extend(map(str, several))
        return [sum(settings[name] == wanted[name] for name in wanted) for settings in several]

    assert tuning.tune(InstanceFusion(), score) == wanted
    assert len(set(asked)) == len(asked), "nothing is scored twice"


def counted(wanted):
    """A metric of counts: the nearer the least score of each class is to the wanted one, the better."""

    def score(several):
        return [
            -sum(
                abs(one.get("min_scores", {}).get(name, one["min_score"]) - least)
                for name, least in wanted.items()
            )
            for one in several
        ]

    return score


def test_each_class_gets_the_least_score_that_a_metric_of_counts_wants():
    found = tuning.tuner(("gas", "dust"), cut=True)({}, counted({"gas": 0.35, "dust": 0.8}))
    assert found["min_scores"]["gas"] == 0.35
    assert found["min_scores"].get("dust", found["min_score"]) == 0.8
    again = tuning.tuner(("gas", "dust"), cut=True)(found, counted({"gas": 0.35, "dust": 0.8}))
    assert again == found, "the next rung begins at what this one found"
    from_plain(LabelsFusion, found)


def test_one_class_gets_one_least_score_and_ap_gets_none():
    assert tuning.tuner((), cut=True)({}, counted({"": 0.45}))["min_score"] == 0.45
    alone = tuning.tuner(("gas", "dust"), cut=False)({}, counted({"gas": 0.35, "dust": 0.8}))
    assert (alone["min_score"], alone["min_scores"]) == (0.0, {})


def test_a_calibration_is_kept_only_if_the_metric_rises():
    choices = {"isotonic": {"m": {"kind": "a"}}, "rank": {"m": {"kind": "b"}}}
    values = {None: 0.5, "a": 0.5, "b": 0.6}

    def score(several):
        return [values[settings.get("calibration", {}).get("m", {}).get("kind")] for settings in several]

    assert tuning.tune_calibration(choices, {"iou": 0.6}, score)["calibration"] == {"m": {"kind": "b"}}
    values["b"] = 0.4
    assert tuning.tune_calibration(choices, {"iou": 0.6}, score) == {"iou": 0.6}
    assert tuning.tune_calibration({}, {"iou": 0.6}, score) == {"iou": 0.6}


def test_several_classes_are_tuned_together_and_without_calibration():
    seen = []

    def score(several):
        seen.extend(several)
        return [0.5] * len(several)

    tune = tuning.tuner((), cut=False)
    tuned = tune({"iou": 0.7, "calibration": {"m": {"kind": "temperature", "temperature": 1.5}}}, score)
    assert tuned["iou"] == 0.7
    assert not any(settings["calibration"] for settings in [tuned, *seen])
