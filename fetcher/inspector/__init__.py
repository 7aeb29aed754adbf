"""Why a feature has its value: the page that `chronon-beam inspect` shows, from stored bytes on."""
