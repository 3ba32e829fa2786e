import pytest
from pydantic import ValidationError

from curriculum.config import CurriculumConfig, DataConfig, PromptConfig
from curriculum.datasets.registry import FORMATS
from curriculum.schedule.make import SCHEDULES


@pytest.mark.parametrize(
    "bad",
    [
        {"alpha": 0},
        {"alpha": 1.1},
        {"threshold": 1},
        {"mode": "square"},
        {"rho": 0.5},
        {"tier_weights": {"interview": 0}},
        {"floor": 0.6},
        {"fade_by": 0},
        {"fade_by": 1.1},
    ],
)
def test_curriculum_settings_out_of_bounds_are_refused(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        CurriculumConfig.model_validate(bad)


def test_unknown_start_point_kinds_are_refused():
    with pytest.raises(ValidationError, match="start_point_kinds"):
        CurriculumConfig.model_validate({"start_point_kinds": ["if", "def"]})


def test_mode_none_cuts_nowhere():
    assert CurriculumConfig(mode="none").cut_kinds == frozenset()


@pytest.mark.parametrize("mode", [mode for mode in SCHEDULES if mode != "none"])
def test_every_other_mode_may_cut_at_the_start_points(mode):
    config = CurriculumConfig.model_validate({"mode": mode, "start_point_kinds": ["if"]})
    assert config.cut_kinds == {"if"}


def test_files_need_both_paths():
    with pytest.raises(ValidationError, match="needs heldout_path"):
        DataConfig.model_validate({"kind": "jsonl", "train_path": "a.jsonl"})


@pytest.mark.parametrize("kind", FORMATS)
def test_other_data_sets_are_converted_first(kind):
    with pytest.raises(ValidationError, match="stepcoder data convert"):
        DataConfig.model_validate({"kind": kind, "train_path": "a", "heldout_path": "b"})


def test_a_path_without_kind_jsonl_is_refused():
    with pytest.raises(ValidationError, match="train_path is not read"):
        DataConfig.model_validate({"train_path": "a.jsonl"})


@pytest.mark.parametrize("model", [CurriculumConfig, DataConfig, PromptConfig])
def test_settings_are_kept_by_json_and_every_field_has_a_description(model):
    settings = model()
    assert model.model_validate_json(settings.model_dump_json()) == settings
    assert [name for name, field in model.model_fields.items() if not field.description] == []
