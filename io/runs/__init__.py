"""Runs over one dataset add up, like transactions: a ledger, and an image of each tile before.

A bounded run aggregates the events of its own files alone. What earlier runs have left must stay,
and what a run that was killed has left must not count twice. Two datasets stand beside the tiles:

    DATASET_RUNS     the ledger: what each run has read, and whether it has finished
    DATASET_BEFORE   before-images: what a tile was before the run that touched it last

A run reads the tile and its image once, notes the tile as the new image, and from then on writes

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

A run over the same files, or over more, replaces one that has not finished; any other run takes it
back, so its files have to be run again. Where the run that has not finished was alone in the
dataset there are no images, and the dataset is emptied.

A file is read on from where a finished run stopped (`chronon_beam.io.units`). One run at a time
writes to a dataset: the one that holds the lease (`lease`). Rows of untiled jobs have no image: a
row has an identity (file and line), so that writing it again changes nothing.
"""
