"""All walks, and the documented commands that no walk takes, each with the reason or with another test."""

from tests.documented import bench, kidney, looking, others, own, road, training, wheels
from tests.documented.walks import Walk

ROAD = Walk("road", (*road.DEMO, *road.ROAD, *kidney.BUNDLES, *kidney.RENDERED, *kidney.SENT), road.kaggle)
WALKS = (
    ROAD,
    training.ALL,
    own.SEGMENTER,
    own.CLASSIFIER,
    wheels.ALL,
    bench.EACH,
    others.ALL,
    looking.PRINTS,
)
"""The longest ones first."""
THIS_RUN = {
    "nox", "nox -s tests", "nox -s tests lint", "python -m pip install noxuv", "python -m pip install uv",
}  # fmt: skip
"""CI takes them before this test can run."""
_FETCH = "kit/local/pretrained/test_fetch.py::test_a_file_is_downloaded_once_and_checked"
_CONVERT = "kit/local/pretrained/test_convert.py::test_the_command_converts_reports_and_fails_with_2"
_KERNEL = "bundle/native/test_ways.py::test_a_kernel_compiles_with_internet_in_the_targets_container"
_COMPILED = "bundle/native/test_wheel.py::test_its_compiled_operators_prove_right_and_are_taken"
_CHECKPOINT = "htc_cbv2_swin_base22k_giou_4conv1f_coco"
_NETWORK = "cbnetv2-swin-b"
ELSEWHERE = {
    "nox -s fetch -- regnety_016": _FETCH,
    "nox -s fetch -- <name>": _FETCH,
    "nox -s fetch -- NAME NAME": _FETCH,
    "python -m kit.models fetch NAME": _FETCH,
    f"python -m kit.models fetch {_CHECKPOINT} --out checkpoints": _FETCH,
    f"python -m kit.models convert FILE_IT_PRINTED --network {_NETWORK} "
    f"--out checkpoints/{_CHECKPOINT}.safetensors": _CONVERT,
    "nox -s native -- --way kernel": _KERNEL,
    "nox -s native -- --target cp313 --way kernel": _KERNEL,
    "python -m bundle native --way kernel": _KERNEL,
    "nox -s bundle -- kidney --native-mmcv": _COMPILED,
    "python -m bundle wheel mmcv --native --out DIR": _COMPILED,
    "python -m bundle lock": "bundle/test_lock.py::test_a_lock_is_made_resumed_and_kept_stable",
    "python install.py --input DIR --folder DIR": (
        "submission/installer/test_real_packages.py::test_what_the_index_has_is_imported_offline"
    ),
    "nox -s screenshots": "submission/report/test_browser.py::test_the_page_is_quiet_legible_and_fits",
    "python predict.py": "submission/test_predict.py::test_all_rungs_are_done_and_every_image_has_its_row",
    "python predict.py --input DIR --output DIR": (
        "submission/test_server_mode.py::test_the_whole_command_rehearses_it_in_a_simulated_image"
    ),
    "python -m train_local sample --source DIR --out sample": (
        "train_local/data/test_sample.py::test_the_sample_is_what_its_source_makes"
    ),
}
"""Command -> the test that does the same, with a loopback server, a compiler or a rendered file."""
NOT_HERE = {
    "python -m": "it stands for every program",
    "python -m NAME": "it stands for every program",
    "python -m kit ...": "it stands for every verb of kit",
    "nox -s tra": "it is typed as far as Tab",
    "nox -s bench": "it takes a day; `all --tiny` takes each of its commands in small",
    "nox -s coverage": "it runs a part of these tests again",
    "nox -s lock": "it asks the index for today's newest releases, so its result changes",
    "nox -s train-vit-adapter-l-adamw -- --gpus 3": "it needs three GPUs",
    "nox -s train-detectors-x101 -- --batch-size 1 --checkpointing": (
        "it needs an earlier stage of minutes; `train-all -- --batch-size 4 --checkpointing` is taken"
    ),
    "nox -s train-detectors-x101 -- --variant text": "it needs a GPU: tiny forms have no variants",
}
