"""``python -m skipwise``, which torchrun can start: ``torchrun -m skipwise train …``."""

from skipwise.cli import main

if __name__ == "__main__":
    main()
