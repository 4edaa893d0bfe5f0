# COPY and ADD with owners by name and by number, with modes, and an archive with owners of its own
ARG BASE=debian
FROM $BASE
RUN groupadd -g 3000 team && useradd -u 1500 -g team app
COPY app /plain
COPY --chown=app app /by-name/
COPY --chown=app:games app /by-names/
COPY --chown=1234 app /by-number/
COPY --chown=0:4321 --chmod=2640 app/file /file
ADD --chown=5:games app/script /scripts/
ADD owned.tar /archive/
COPY --link --chown=1500:3000 app /linked/
USER app
COPY app /as-user/
