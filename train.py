"""Run an experiment: ``python train.py --help``."""

import hydra
from omegaconf import DictConfig

from seqdetect.pipeline import main


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def train(config: DictConfig) -> None:
    """Hand the composed configuration to the pipeline."""
    main(config)


if __name__ == "__main__":
    train()
