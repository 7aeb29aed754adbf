"""How the runs into one dataset add up: by a ledger of the runs, and images of tiles before a run.

A bounded run aggregates the events of its own files alone. What earlier runs have written must
stay, and what a killed run has written must not count twice. Two datasets beside the tiles are for
that:

    DATASET_RUNS     the ledger: what each run has read, and whether it has finished
    DATASET_BEFORE   before-images: each tile as it was before the run that has written it last

Before a run writes a tile for the first time, it reads the tile and its image, and stores the tile
as the new image. From then on it writes

    tile in the store = merge(image, tile of this run's own events)

For one tile, when four runs bring events A, B, C and D:

    run             tile           image         what was done
    1 over a        A              none          the dataset was empty: nothing is read or noted
    2 over b        A + B          2: A          run 1 has finished: its tile is the image
    3 over c, dies  A + B + c      3: A + B      c is a part of C
    4 over c        A + B + C      4: A + B      the same files: replaces run 3, keeps its images
    5 over d, dies  A + B + C + d  5: A + B + C
    6 over e        A + B + C      5: A + B + C  other files: before it begins run 5 is taken back
                    A + B + C + E  6: A + B + C
    7 over c                                     the ledger says that c was read: nothing is done

A run over the same files, or over more files, replaces a run that has not finished. Any other run
takes that run back, so its files have to be run again. A run that was alone in the dataset has no
images; to take it back, the dataset is emptied.

Dead letters that enter the dataset again are a run, too; `DATASET_REDRIVEN` names the run of each
letter (`redriven`).

A file is read on from where a finished run stopped (`chronon_beam.io.units`). One run at a time
writes to a dataset: the one that holds the lease (`lease`). Rows of untiled jobs have no images: a
row has an identity (file and line), so writing it again changes nothing.
"""
