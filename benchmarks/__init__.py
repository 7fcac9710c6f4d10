"""How fast, how flat, how small: each program here measures one thing, beside a floor taken in the same run."""
