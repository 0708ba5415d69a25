package alarm

import (
	"os/exec"
	"strings"
)

// The signatures as openssl computes them, independent of our code.

func independentSign(secret, timestamp string) string {
	return openssl(timestamp+"\n"+secret, secret, "openssl dgst -sha256 -hmac \"$1\" -binary | base64 -w0")
}

func independentHex(secret, text string) string {
	return openssl(text, secret, "openssl dgst -sha256 -hmac \"$1\" -r | cut -d' ' -f1")
}

func openssl(input, secret, script string) string {
	cmd := exec.Command("sh", "-c", script, "sh", secret)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	if err != nil {
		return "cannot run openssl: " + err.Error()
	}
	return strings.TrimSpace(string(out))
}

func independentFeishuSign(secret, timestamp string) string {
	return openssl("", timestamp+"\n"+secret, "openssl dgst -sha256 -hmac \"$1\" -binary | base64 -w0")
}
