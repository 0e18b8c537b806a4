"""`python -m studies.iwslt2025 [TABLE ...]`."""

import sys

from studies.iwslt2025 import table_1, table_2, table_3, table_5, table_6, table_7
from studies.reproduction.main import reproduce

TITLE = "Efficient Speech Translation through Model Compression and Knowledge Distillation (IWSLT 2025)"
TABLES = {
    "table_1": table_1.make,
    "table_2": table_2.make,
    "table_3": table_3.make,
    "table_5": table_5.make,
    "table_6": table_6.make,
    "table_7": table_7.make,
}

if __name__ == "__main__":
    sys.exit(reproduce("iwslt2025", TITLE, TABLES, model="bundled:tatoeba-en-de", train="train"))
