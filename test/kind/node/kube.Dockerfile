# All of Kubernetes' own containers in one image: one program that is what it is called by, and the tools that it calls.
FROM debian:bookworm-slim AS kube
RUN apt-get update && apt-get install -y --no-install-recommends conntrack ethtool iproute2 iptables kmod nftables \
    && rm -rf /var/lib/apt/lists/*
COPY hyperkube /usr/local/bin/hyperkube
RUN for name in etcd kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl; do \
      ln -s hyperkube /usr/local/bin/$name; \
    done

FROM debian:bookworm-slim AS pause
ENTRYPOINT ["sleep", "infinity"]

FROM debian:bookworm-slim AS busybox
RUN apt-get update && apt-get install -y --no-install-recommends busybox-static && rm -rf /var/lib/apt/lists/*

FROM scratch AS program
ARG PROGRAM
COPY ${PROGRAM} /program
ENTRYPOINT ["/program"]
