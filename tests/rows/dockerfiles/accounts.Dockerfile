# accounts and groups made, changed and removed, with homes, and files made by their users through su
ARG BASE=debian
FROM $BASE
RUN groupadd -g 3000 team && useradd -m -u 1500 -g team -G games,adm -s /bin/bash app && \
    useradd -r -m -d /srv/service service && useradd -m gone
RUN su app -c 'umask 027; echo mine > ~/file; mkdir -p ~/folder/sub; chgrp games ~/folder; id' > /id-of-app
RUN su - service -s /bin/sh -c 'pwd; id -un; touch here' > /id-of-service
RUN usermod -u 1600 -aG audio app && groupmod -g 3100 team && userdel -r gone && echo app:secret | chpasswd -e && \
    passwd -l service && chage -d 1 app && chsh -s /bin/sh app
