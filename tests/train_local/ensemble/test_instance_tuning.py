from kit.inference.instance_settings import InstanceFusion
from kit.typed_json import to_plain
from train_local.ensemble import instance_tuning as tuning


def test_instance_settings_climb_to_the_best_of_each_choice():
    wanted = to_plain(InstanceFusion(morphology="opening", iou=0.7, vote_fraction=0.5, skip_score=0.05))
    asked = []

    def score(several):
        asked.extend(map(str, several))
        return [sum(settings[name] == wanted[name] for name in wanted) for settings in several]

    assert tuning.tune(InstanceFusion(), score) == wanted
    assert len(set(asked)) == len(asked), "nothing is scored twice"


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

    tuned = tuning.tune_plain(
        {"iou": 0.7, "calibration": {"m": {"kind": "temperature", "temperature": 1.5}}}, score
    )
    assert tuned["iou"] == 0.7
    assert not any(settings["calibration"] for settings in [tuned, *seen])
