package channel

import "github.com/pharos-stack/pharos/internal/alarmrule"

// Class of the channel, by which people switch and rules have thresholds.
func (s Spec) Class() alarmrule.Class {
	switch s.Type {
	case TypeDingTalk, TypeWeCom, TypeFeishu, TypeSlack:
		return alarmrule.Chat
	case TypeMail:
		return alarmrule.Email
	}
	if p := s.phones(); p != nil {
		if p.Use == UseCall {
			return alarmrule.Phone
		}
		return alarmrule.SMS
	}
	return alarmrule.Webhook
}

// To returns s with other recipients: numbers, or addresses of a mail channel.
func (s Spec) To(targets []string) Spec {
	if s.Mail != nil {
		m := *s.Mail
		m.To = targets
		s.Mail = &m
	}
	if s.Gateway != nil {
		g := *s.Gateway
		g.Phones.To = targets
		s.Gateway = &g
	}
	if s.Aliyun != nil {
		c := *s.Aliyun
		c.Phones.To = targets
		s.Aliyun = &c
	}
	if s.Tencent != nil {
		c := *s.Tencent
		c.Phones.To = targets
		s.Tencent = &c
	}
	if s.Twilio != nil {
		c := *s.Twilio
		c.Phones.To = targets
		s.Twilio = &c
	}
	return s
}
