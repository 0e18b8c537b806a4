"""`python -m studies.on_device_st [TABLE ...]`: see README.md."""

import sys

from studies.on_device_st import (
    figure_1,
    figure_2,
    figure_3,
    figure_4,
    figure_5,
    figure_6,
    table_1,
    table_2,
    table_3,
    table_4,
    table_5,
)
from studies.reproduction.main import reproduce

TITLE = "On-device Speech Translation"
TABLES = {
    "table_1": table_1.make,
    "figure_1": figure_1.make,
    "figure_2": figure_2.make,
    "table_2": table_2.make,
    "table_3": table_3.make,
    "figure_3": figure_3.make,
    "figure_4": figure_4.make,
    "table_4": table_4.make,
    "figure_5": figure_5.make,
    "table_5": table_5.make,
    "figure_6": figure_6.make,
}

if __name__ == "__main__":
    sys.exit(reproduce("on_device_st", TITLE, TABLES, model="bundled:tatoeba-en-de", train="train", utterances=250))
